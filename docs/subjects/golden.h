/* golden.h: refgrad's golden files read and judged by, for any rule and dtype, with nothing but the C library (docs/golden.md).
 * golden_open, golden_get, golden_word, golden_number, golden_input, golden_tensor read; golden_outside judges an output, golden_judged
 * says of how many of its numbers anything is known (0 of an output that the program does not give); golden_named says what a wrong
 * one is. A result by a name that no case of the file has for an output, and whatever of a file is missing, cut off or of another kind
 * than docs/golden.md says, ends the program with exit code 2 and a line on standard error; nothing beyond the end of a file is read.
 * Digests are checked by `refgrad golden lint`. */
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN_DEEPEST 64 /* values within values; golden files have eight */
#define GOLDEN_WAYS 64    /* sets of an output, at most */

/* a value of JSON: kind is one of { [ " 0 t f n; text is a string's or number's; children are a list */
typedef struct golden_json { char kind, *key, *text; struct golden_json *child, *next; } golden_json;
typedef struct { golden_json *document, *header, *notes; const unsigned char *data; size_t size; } golden_file;
/* what the program under test gives for an output, as doubles in row-major order */
typedef struct { const char *name; const double *x; size_t n; } golden_result;
/* of an output: the numbers of which something is known, and those of them that are outside */
typedef struct { size_t judged, outside; } golden_counts;

static void golden_fail(const char *why, const char *what) { fprintf(stderr, "golden: %s: %.80s\n", why, what); exit(2); }

static void *golden_memory(void *found) { /* of malloc, calloc or strndup */
    if (!found) golden_fail("no memory", "is left");
    return found;
}

static char *golden_text(char **at) { /* a string, without its quotes; \u and other escapes but \" and \\ stay as they are */
    if (**at != '"') golden_fail("no JSON: a name is missing at", **at ? *at : "the end");
    char *from = ++*at, *to = from;
    for (; **at != '"'; ++*at) {
        if (!**at) golden_fail("a string without an end", from);
        if (**at == '\\' && ((*at)[1] == '"' || (*at)[1] == '\\')) ++*at;
        *to++ = **at;
    }
    ++*at, *to = 0;
    return from;
}

static golden_json *golden_parse(char **at, int deep) {
    golden_json *found = golden_memory(calloc(1, sizeof *found)), **last = &found->child;
    if (deep > GOLDEN_DEEPEST) golden_fail("too deeply nested", *at);
    *at += strspn(*at, " \n\r\t");
    found->kind = **at;
    if (**at == '"') return found->text = golden_text(at), found;
    if (**at != '{' && **at != '[') { /* a number, true, false or null */
        size_t length = strcspn(*at, ",]} \n\r\t");
        if (!length) golden_fail("no JSON at", **at ? *at : "the end");
        found->text = golden_memory(strndup(*at, length)), *at += length;
        if (!strchr("tfn", found->kind)) found->kind = '0';
        return found;
    }
    for (char end = *(*at)++ == '{' ? '}' : ']';;) {
        *at += strspn(*at, " \n\r\t,");
        if (**at == end) return ++*at, found;
        char *key = end == '}' ? golden_text(at) : NULL;
        if (key) *at += strspn(*at, " \n\r\t:");
        *last = golden_parse(at, deep + 1), (*last)->key = key, last = &(*last)->next;
    }
}

static const golden_json *golden_get(const golden_json *in, const char *key) { /* NULL where it is not */
    for (const golden_json *each = in ? in->child : NULL; each; each = each->next)
        if (each->key && !strcmp(each->key, key)) return each;
    return NULL;
}

static const golden_json *golden_need(const golden_json *in, const char *key, char kind) { /* of one kind, or the program ends */
    const golden_json *found = golden_get(in, key);
    if (!found) golden_fail("it is missing", key);
    if (found->kind != kind) golden_fail("it is of another kind of JSON than it ought to be", key);
    return found;
}

static const char *golden_word(const golden_json *in, const char *key) { return golden_need(in, key, '"')->text; }

static const golden_json *golden_at(const golden_json *in, int number) {
    const golden_json *each = in ? in->child : NULL;
    while (each && number--) each = each->next;
    return each;
}

static const golden_json *golden_case(const golden_file *file, int number) { /* a record, by its number in the file */
    const golden_json *found = golden_at(golden_need(file->document, "cases", '['), number);
    if (!found) golden_fail("there is no case of the number", "of one");
    return found;
}

static double golden_real(const golden_json *of, const char *what) { /* a hex float in quotes, a number without, or true and false */
    if (of && (of->kind == 't' || of->kind == 'f')) return of->kind == 't';
    if (!of || !of->text || (of->kind != '"' && of->kind != '0')) golden_fail("it is no number", what);
    const char *digits = of->text + strspn(of->text, "+-");
    int named = !strncmp(digits, "inf", 3) || !strncmp(digits, "nan", 3);
    if (of->kind == '"' && !named && strncmp(digits, "0x", 2)) golden_fail("it is no hex float", what);
    char *end;
    double found = strtod(of->text, &end);
    if (end == of->text || *end) golden_fail("it is no number", what);
    return found;
}

static double golden_number(const golden_json *in, const char *key) { /* a hex float, a whole number, true or false, of a case */
    const golden_json *found = golden_get(in, key);
    if (!found) golden_fail("there is no number", key);
    return golden_real(found, key);
}

static size_t golden_whole(const golden_json *of, const char *what) { /* a whole number from 0 on */
    if (!of || of->kind != '0' || of->text[strspn(of->text, "0123456789")] || strlen(of->text) > 18) golden_fail("it is no whole number", what);
    return strtoull(of->text, NULL, 10);
}

static char *golden_bytes(const char *folder, const char *name, const char *end, size_t *size) { /* with a 0 after its end */
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s.%s", folder, name, end) >= (int)sizeof path) golden_fail("too long a path", name);
    FILE *file = fopen(path, "rb");
    if (!file) golden_fail("no such file", path);
    long length = fseek(file, 0, SEEK_END) ? -1 : ftell(file);
    if (length < 0 || length == LONG_MAX) golden_fail("it cannot be read", path);
    rewind(file), *size = length;
    char *bytes = golden_memory(calloc(*size + 1, 1));
    if (fread(bytes, 1, *size, file) != *size) golden_fail("it cannot be read", path);
    fclose(file);
    return bytes;
}

/* files that are in memory: the two of JSON end with a 0 and are written to, the third has so many bytes */
static golden_file golden_from(char *json, char *manifest, const unsigned char *tensors, size_t size) {
    golden_file found;
    uint64_t length;
    found.document = golden_parse(&json, 0), golden_need(found.document, "cases", '[');
    found.notes = (golden_json *)golden_need(golden_parse(&manifest, 0), "notes", '{');
    if (size >= 8) memcpy(&length, tensors, 8); /* eight bytes of the header's length, the header, the arrays */
    if (size < 8 || length > size - 8) golden_fail("no safetensors file of", golden_word(found.document, "rule"));
    char *at = golden_memory(strndup((const char *)tensors + 8, length));
    found.header = golden_parse(&at, 0), found.data = tensors + 8 + length, found.size = size - 8 - length;
    return found;
}

static golden_file golden_open(const char *folder, const char *rule) {
    size_t size;
    char *json = golden_bytes(folder, rule, "json", &size), *manifest = golden_bytes(folder, "manifest", "json", &size);
    char *tensors = golden_bytes(folder, rule, "safetensors", &size);
    return golden_from(json, manifest, (unsigned char *)tensors, size);
}

static size_t golden_width(const char *dtype) { /* bytes of a number */
    static const char *known[] = {"BOOL", "U8", "I8", "F16", "BF16", "U16", "I16", "F32", "U32", "I32", "F64", "U64", "I64"};
    static const unsigned char width[] = {1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 8, 8, 8};
    for (size_t i = 0; i < sizeof width; i++)
        if (!strcmp(dtype, known[i])) return width[i];
    golden_fail("a dtype that is not read", dtype);
    return 1;
}

static double golden_value(const unsigned char *at, const char *dtype) { /* a number of a little-endian array */
    double d; float f; uint16_t h; uint32_t w; uint64_t u8; int8_t i1; int16_t i2; int32_t i4; int64_t i8;
    if (!strcmp(dtype, "F64")) return memcpy(&d, at, 8), d;
    if (!strcmp(dtype, "F32")) return memcpy(&f, at, 4), f;
    if (!strcmp(dtype, "BF16")) return memcpy(&h, at, 2), w = (uint32_t)h << 16, memcpy(&f, &w, 4), f;
    if (!strcmp(dtype, "F16")) {
        memcpy(&h, at, 2);
        int e = h >> 10 & 31, m = h & 1023;
        d = e == 31 ? (m ? NAN : INFINITY) : e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
        return h >> 15 ? -d : d;
    }
    if (!strcmp(dtype, "I8")) return memcpy(&i1, at, 1), i1;
    if (!strcmp(dtype, "I16")) return memcpy(&i2, at, 2), i2;
    if (!strcmp(dtype, "U16")) return memcpy(&h, at, 2), h;
    if (!strcmp(dtype, "I32")) return memcpy(&i4, at, 4), i4;
    if (!strcmp(dtype, "U32")) return memcpy(&w, at, 4), w;
    if (!strcmp(dtype, "I64")) return memcpy(&i8, at, 8), (double)i8;
    if (!strcmp(dtype, "U64")) return memcpy(&u8, at, 8), (double)u8;
    return *at; /* BOOL and U8 */
}

/* an array of a case by its part ("in", "set", "wide", "reference", "truth") and name, as doubles; NULL where the file has none */
static double *golden_tensor(const golden_file *file, int number, const char *part, const char *name, size_t *count) {
    char own[160], key[200];
    if (snprintf(own, sizeof own, "%s/%s", part, name) >= (int)sizeof own) golden_fail("too long a name", name);
    snprintf(key, sizeof key, "%d/%s", number, own);
    const golden_json *shared = golden_get(golden_get(golden_case(file, number), "shared"), own);
    if (shared && shared->kind != '"') golden_fail("it is shared with no name", own);
    const golden_json *entry = golden_get(file->header, shared ? shared->text : key);
    if (!entry && shared) golden_fail("it is shared, and there is no such tensor", shared->text);
    if (!entry) return *count = 0, NULL;
    const golden_json *offsets = golden_need(entry, "data_offsets", '[');
    const char *dtype = golden_word(entry, "dtype");
    size_t start = golden_whole(golden_at(offsets, 0), key), end = golden_whole(golden_at(offsets, 1), key), bytes = golden_width(dtype);
    if (start > end || end > file->size || (end - start) % bytes) golden_fail("a tensor beyond the end", key);
    *count = (end - start) / bytes;
    double *found = golden_memory(malloc((*count + 1) * sizeof *found));
    for (size_t i = 0; i < *count; i++) found[i] = golden_value(file->data + start + i * bytes, dtype);
    return found;
}

/* an array that a case hands in, which has to be there; of so many numbers, where *count is not 0 before */
static double *golden_input(const golden_file *file, int number, const char *name, size_t *count) {
    size_t wanted = *count;
    double *found = golden_tensor(file, number, "in", name, count);
    if (!found) golden_fail("an array of a case is missing", name);
    if (wanted && *count != wanted) golden_fail("an array of a case has another size", name);
    return found;
}

static const golden_result *golden_find(const golden_result *results, const char *name) { /* the list ends with a name of NULL */
    while (results->name && strcmp(results->name, name)) results++;
    return results->name ? results : NULL;
}

static int golden_has(const golden_json *record, const char *name) { /* whether a case has an output of the name */
    for (const golden_json *each = golden_need(record, "outputs", '[')->child; each; each = each->next)
        if (!strcmp(golden_word(each, "name"), name)) return 1;
    return 0;
}

/* every result has the name of an output, of this case or of another one: cases with NaN and other settings may lack some */
static void golden_check(const golden_file *file, int number, const golden_result *results) {
    for (; results->name; results++) {
        int found = golden_has(golden_case(file, number), results->name);
        for (const golden_json *each = golden_need(file->document, "cases", '[')->child; each && !found; each = each->next)
            found = golden_has(each, results->name);
        if (!found) golden_fail("no case has an output that is called as this result is", results->name);
    }
}

static int golden_same(double a, double b) { return a == b || (isnan(a) && isnan(b)); }

static int golden_within(double x, double low, double high, int any_nan) {
    int none = isnan(low) || (isinf(low) && low == high); /* NaN is right where the ends are, or are one infinity */
    return (x >= low && x <= high) || (isnan(x) && (any_nan || none));
}

/* where an output's own sets count: narrow[i] stays 1 where what it is given is the file's, bit by bit */
static void golden_narrow(const golden_file *file, int number, const golden_json *output, const golden_result *results, char *narrow, size_t n) {
    const golden_json *whole = golden_get(golden_case(file, number), "whole");
    for (const golden_json *each = golden_need(output, "given", '[')->child; each; each = each->next) {
        if (each->kind != '"') golden_fail("it is given what has no name", golden_word(output, "name"));
        if (!golden_has(golden_case(file, number), each->text)) golden_fail("it is given an output that the case does not have", each->text);
        size_t count, alike = 0;
        double *reference = golden_tensor(file, number, "reference", each->text, &count);
        const golden_result *own = golden_find(results, each->text);
        if (!reference || (own && own->n != count)) golden_fail("a reference is missing, or of another size", each->text);
        for (size_t i = 0; own && i < count; i++) alike += golden_same(own->x[i], reference[i]);
        for (size_t i = 0; i < n; i++) /* of all elements together, or of this one alone */
            narrow[i] &= (whole && whole->kind == 't') || count != n || !own ? own && alike == count : golden_same(own->x[i], reference[i]);
        free(reference);
    }
}

/* an output judged: by its ways where what it is given is the file's, bit by bit, by the wide set elsewhere */
static golden_counts golden_judge(const golden_file *file, int number, const golden_json *output, const golden_result *results) {
    const char *name = golden_word(output, "name");
    const golden_result *mine = golden_find(results, name);
    golden_counts found = {0};
    golden_check(file, number, results);
    size_t of_sets, of_wide, ways = golden_whole(golden_get(output, "ways"), "ways");
    double *set = golden_tensor(file, number, "set", name, &of_sets), *wide = golden_tensor(file, number, "wide", name, &of_wide);
    if (!set) golden_fail("the set of an output is missing", name);
    if (!mine) return free(set), free(wide), found; /* an output that the program does not give */
    size_t n = mine->n;
    if (!ways || ways > GOLDEN_WAYS || of_sets != 2 * ways * n) golden_fail("an output of another size", name);
    if (wide && of_wide != 2 * n) golden_fail("a wide set of another size", name);
    char *narrow = memset(golden_memory(malloc(n + 1)), 1, n);
    golden_narrow(file, number, output, results, narrow, n);
    const golden_json *nan = golden_get(golden_get(golden_case(file, number), "policy"), "nan");
    for (size_t i = 0; i < n; i++) {
        int right = !narrow[i] && !wide; /* nothing is said */
        for (size_t way = 0; narrow[i] && way < ways; way++)
            right |= golden_within(mine->x[i], set[2 * way * n + i], set[(2 * way + 1) * n + i], nan != NULL);
        if (!narrow[i] && wide) right = golden_within(mine->x[i], wide[i], wide[n + i], nan != NULL);
        found.judged += narrow[i] || wide, found.outside += !right;
    }
    free(set), free(wide), free(narrow);
    return found;
}

static inline size_t golden_outside(const golden_file *file, int number, const golden_json *output, const golden_result *results) {
    return golden_judge(file, number, output, results).outside;
}

static inline size_t golden_judged(const golden_file *file, int number, const golden_json *output, const golden_result *results) {
    return golden_judge(file, number, output, results).judged;
}

/* print the named wrong values that the results are: to a millionth, at every element that the file names */
static void golden_named(const golden_file *file, const golden_json *record, const golden_result *results) {
    for (const golden_json *wrong = golden_need(file->document, "wrong", '[')->child; wrong; wrong = wrong->next) {
        const golden_result *mine = golden_find(results, golden_word(wrong, "output"));
        if (!mine || strcmp(golden_word(wrong, "case"), golden_word(record, "id"))) continue;
        const golden_json *at = golden_need(wrong, "at", '[')->child, *value = golden_need(wrong, "value", '[')->child;
        int alike = 1;
        for (; at && value; at = at->next, value = value->next) {
            size_t place = golden_whole(at, "at");
            if (place >= mine->n) golden_fail("a wrong value beyond the end", mine->name);
            double x = mine->x[place], y = golden_real(value, "value");
            alike &= fabs(x - y) <= 1e-6 * fabs(y);
        }
        const char *flag = golden_word(wrong, "flag");
        if (alike) printf("  %s (%s): %s\n", flag, golden_word(golden_need(file->notes, flag, '{'), "bug"), golden_word(wrong, "name"));
    }
}
