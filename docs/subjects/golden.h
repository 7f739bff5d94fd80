/* golden.h: refgrad's golden files read and judged by, for any rule and dtype, with nothing but the C library (docs/golden.md).
 * golden_open, golden_get, golden_number, golden_tensor read; golden_outside judges an output; golden_named says what a wrong one is.
 * The files are trusted to be what `refgrad golden lint` calls well-formed; what is missing ends the program with exit code 2. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* a value of JSON: kind is one of { [ " 0 t f n; text is a string's or number's; children are a list */
typedef struct golden_json { char kind, *key, *text; struct golden_json *child, *next; } golden_json;
typedef struct { golden_json *document, *header, *notes; const unsigned char *data; size_t size; } golden_file;
/* what the program under test gives for an output, as doubles in row-major order */
typedef struct { const char *name; const double *x; size_t n; } golden_result;

static void golden_fail(const char *why, const char *what) { fprintf(stderr, "golden: %s: %.80s\n", why, what); exit(2); }

static char *golden_text(char **at) { /* a string, without its quotes; \u and other escapes but \" and \\ stay as they are */
    char *from = ++*at, *to = from;
    for (; **at != '"'; ++*at) {
        if (!**at) golden_fail("a string without an end", from);
        if (**at == '\\' && ((*at)[1] == '"' || (*at)[1] == '\\')) ++*at;
        *to++ = **at;
    }
    ++*at, *to = 0;
    return from;
}

static golden_json *golden_parse(char **at) {
    golden_json *found = calloc(1, sizeof *found), **last = &found->child;
    *at += strspn(*at, " \n\r\t");
    found->kind = **at;
    if (**at == '"') return found->text = golden_text(at), found;
    if (**at != '{' && **at != '[') { /* a number, true, false or null */
        size_t length = strcspn(*at, ",]} \n\r\t");
        if (!length) golden_fail("no JSON", *at);
        found->text = strndup(*at, length), *at += length;
        return found;
    }
    for (char end = *(*at)++ == '{' ? '}' : ']';;) {
        *at += strspn(*at, " \n\r\t,");
        if (**at == end) return ++*at, found;
        char *key = end == '}' ? golden_text(at) : NULL;
        if (key) *at += strspn(*at, " \n\r\t:");
        *last = golden_parse(at), (*last)->key = key, last = &(*last)->next;
    }
}

static const golden_json *golden_get(const golden_json *in, const char *key) { /* NULL where it is not */
    for (const golden_json *each = in ? in->child : NULL; each; each = each->next)
        if (each->key && !strcmp(each->key, key)) return each;
    return NULL;
}

static const golden_json *golden_at(const golden_json *in, int number) {
    const golden_json *each = in ? in->child : NULL;
    while (each && number--) each = each->next;
    return each;
}

static double golden_number(const golden_json *in, const char *key) { /* a hex float, or a whole number, of a case */
    const golden_json *found = golden_get(in, key);
    if (!found) golden_fail("there is no number", key);
    return strtod(found->text, NULL);
}

static char *golden_bytes(const char *folder, const char *name, const char *end, size_t *size) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.%s", folder, name, end);
    FILE *file = fopen(path, "rb");
    if (!file) golden_fail("no such file", path);
    fseek(file, 0, SEEK_END), *size = ftell(file), rewind(file);
    char *bytes = calloc(*size + 1, 1);
    if (fread(bytes, 1, *size, file) != *size) golden_fail("it cannot be read", path);
    fclose(file);
    return bytes;
}

static golden_file golden_open(const char *folder, const char *rule) {
    golden_file found;
    size_t size;
    uint64_t length;
    char *text = golden_bytes(folder, rule, "json", &size), *bytes = golden_bytes(folder, "manifest", "json", &size), *at = bytes;
    found.document = golden_parse(&text), found.notes = (golden_json *)golden_get(golden_parse(&at), "notes");
    bytes = golden_bytes(folder, rule, "safetensors", &size); /* eight bytes of the header's length, the header, the arrays */
    memcpy(&length, bytes, size < 8 ? 0 : 8);
    if (size < 8 || length > size - 8) golden_fail("no safetensors file of", rule);
    at = strndup(bytes + 8, length);
    found.header = golden_parse(&at), found.data = (unsigned char *)bytes + 8 + length, found.size = size - 8 - length;
    return found;
}

static double golden_value(const unsigned char *at, const char *dtype) { /* a number of a little-endian array */
    double d; float f; uint16_t h; uint32_t w; int8_t i1; int16_t i2; int32_t i4; int64_t i8;
    if (!strcmp(dtype, "F64")) return memcpy(&d, at, 8), d;
    if (!strcmp(dtype, "F32")) return memcpy(&f, at, 4), f;
    if (!strcmp(dtype, "BF16")) return memcpy(&h, at, 2), w = (uint32_t)h << 16, memcpy(&f, &w, 4), f;
    if (!strcmp(dtype, "F16")) {
        memcpy(&h, at, 2);
        int e = h >> 10 & 31, m = h & 1023;
        d = e == 31 ? (m ? NAN : INFINITY) : e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
        return h >> 15 ? -d : d;
    }
    if (!strcmp(dtype, "BOOL") || !strcmp(dtype, "U8")) return *at;
    if (!strcmp(dtype, "I8")) return memcpy(&i1, at, 1), i1;
    if (!strcmp(dtype, "I16")) return memcpy(&i2, at, 2), i2;
    if (!strcmp(dtype, "U16")) return memcpy(&h, at, 2), h;
    if (!strcmp(dtype, "I32")) return memcpy(&i4, at, 4), i4;
    if (!strcmp(dtype, "U32")) return memcpy(&w, at, 4), w;
    if (!strcmp(dtype, "I64")) return memcpy(&i8, at, 8), (double)i8;
    golden_fail("a dtype that is not read", dtype);
    return 0;
}

/* an array of a case by its part ("in", "set", "wide", "reference", "truth") and name, as doubles; NULL where the file has none */
static double *golden_tensor(const golden_file *file, int number, const char *part, const char *name, size_t *count) {
    char own[160], key[200];
    snprintf(own, sizeof own, "%s/%s", part, name), snprintf(key, sizeof key, "%d/%s", number, own);
    const golden_json *shared = golden_get(golden_get(golden_at(golden_get(file->document, "cases"), number), "shared"), own);
    const golden_json *entry = golden_get(file->header, shared ? shared->text : key);
    if (!entry) return *count = 0, NULL;
    const golden_json *offsets = golden_get(entry, "data_offsets"), *dtype = golden_get(entry, "dtype");
    size_t start = strtoull(golden_at(offsets, 0)->text, NULL, 10), end = strtoull(golden_at(offsets, 1)->text, NULL, 10);
    const char *digits = dtype->text + strcspn(dtype->text, "0123456789");
    size_t bytes = *digits ? atoi(digits) / 8 : 1; /* BOOL has no number */
    if (start > end || end > file->size) golden_fail("a tensor beyond the end", key);
    *count = (end - start) / bytes;
    double *found = malloc((*count + 1) * sizeof *found);
    for (size_t i = 0; i < *count; i++) found[i] = golden_value(file->data + start + i * bytes, dtype->text);
    return found;
}

static const golden_result *golden_find(const golden_result *results, const char *name) { /* the list ends with a name of NULL */
    while (results->name && strcmp(results->name, name)) results++;
    return results->name ? results : NULL;
}

static int golden_same(double a, double b) { return a == b || (isnan(a) && isnan(b)); }

static int golden_within(double x, double low, double high, int any_nan) {
    int none = isnan(low) || (isinf(low) && low == high); /* NaN is right where the ends are, or are one infinity */
    return (x >= low && x <= high) || (isnan(x) && (any_nan || none));
}

/* how many numbers of an output are outside: by its ways where what it is given is the file's, bit by bit, by the wide set elsewhere */
static size_t golden_outside(const golden_file *file, int number, const golden_json *output, const golden_result *results) {
    const golden_json *record = golden_at(golden_get(file->document, "cases"), number);
    const char *name = golden_get(output, "name")->text;
    const golden_result *mine = golden_find(results, name);
    if (!mine) return 0; /* an output that the program does not give */
    size_t of_sets, of_wide, count, n = mine->n, found = 0, ways = atoi(golden_get(output, "ways")->text);
    double *set = golden_tensor(file, number, "set", name, &of_sets), *wide = golden_tensor(file, number, "wide", name, &of_wide);
    if (of_sets != 2 * ways * n) golden_fail("an output of another size", name);
    char *narrow = memset(malloc(n + 1), 1, n);
    for (const golden_json *each = golden_get(output, "given")->child; each; each = each->next) {
        double *reference = golden_tensor(file, number, "reference", each->text, &count);
        const golden_result *own = golden_find(results, each->text);
        size_t alike = 0;
        for (size_t i = 0; own && i < count; i++) alike += golden_same(own->x[i], reference[i]);
        for (size_t i = 0; i < n; i++) /* of all elements together, or of this one alone */
            narrow[i] &= golden_get(record, "whole")->kind == 't' || count != n || !own ? own && alike == count : golden_same(own->x[i], reference[i]);
        free(reference);
    }
    const golden_json *nan = golden_get(golden_get(record, "policy"), "nan");
    for (size_t i = 0; i < n; i++) {
        int right = !narrow[i] && !wide; /* nothing is said */
        for (size_t way = 0; narrow[i] && way < ways; way++)
            right |= golden_within(mine->x[i], set[2 * way * n + i], set[(2 * way + 1) * n + i], nan != NULL);
        if (!narrow[i] && wide) right = golden_within(mine->x[i], wide[i], wide[n + i], nan != NULL);
        found += !right;
    }
    free(set), free(wide), free(narrow);
    return found;
}

/* print the named wrong values that the results are: to a millionth, at every element that the file names */
static void golden_named(const golden_file *file, const golden_json *record, const golden_result *results) {
    for (const golden_json *wrong = golden_get(file->document, "wrong")->child; wrong; wrong = wrong->next) {
        const golden_result *mine = golden_find(results, golden_get(wrong, "output")->text);
        if (!mine || strcmp(golden_get(wrong, "case")->text, golden_get(record, "id")->text)) continue;
        const golden_json *at = golden_get(wrong, "at")->child, *value = golden_get(wrong, "value")->child;
        int alike = 1;
        for (; at && value; at = at->next, value = value->next) {
            double x = mine->x[atoi(at->text)], y = strtod(value->text, NULL);
            alike &= fabs(x - y) <= 1e-6 * fabs(y);
        }
        const char *flag = golden_get(wrong, "flag")->text;
        if (alike) printf("  %s (%s): %s\n", flag, golden_get(golden_get(file->notes, flag), "bug")->text, golden_get(wrong, "name")->text);
    }
}
