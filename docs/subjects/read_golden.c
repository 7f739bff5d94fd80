/* Reads one golden case of AdamW in float32 and judges a step of it: cc -O2 read_golden.c -lm -o read_golden; ./read_golden golden/smoke/AdamW NUMBER
 * -DEPS_INSIDE builds the step wrong. Prints how many numbers are outside; exit code 2 where the file lacks something. */
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *json, *header, *line;
static const unsigned char *data;
static size_t of_data;

static void *need(const void *found, const char *what) {
    if (found) return (void *)found;
    fprintf(stderr, "the file has no %s\n", what);
    exit(2);
}

static char *after(const char *in, const char *key) { return (char *)need(strstr(in, key), key) + strlen(key); }

static char *whole(const char *path, size_t *size) { /* with a 0 after its end */
    FILE *file = need(fopen(path, "rb"), path);
    long length = fseek(file, 0, SEEK_END) ? -1 : ftell(file);
    char *text = length < 0 || length == LONG_MAX ? NULL : calloc(length + 1, 1);
    rewind(file), *size = text ? length : 0;
    if (!text || fread(text, 1, *size, file) != *size) need(NULL, path);
    fclose(file);
    return text;
}

/* an array of a case in float32 by its part and name, and how many numbers it has */
static const float *tensor(int number, const char *part, const char *name, size_t *count) {
    char key[128];
    snprintf(key, sizeof key, "\"%s/%s\":\"", part, name);
    const char *at = strstr(line, key); /* "shared" of the case: the array stands there by the name of another */
    if (at) {
        char other[96] = "";
        sscanf(at + strlen(key), "%95[^\"]", other), snprintf(key, sizeof key, "\"%s\":{\"dtype\":\"F32\"", other);
    } else
        snprintf(key, sizeof key, "\"%d/%s/%s\":{\"dtype\":\"F32\"", number, part, name);
    at = strstr(header, key);
    if (!at) { *count = 0; return NULL; }
    long start, end;
    if (sscanf(after(at, "\"data_offsets\":["), "%ld,%ld", &start, &end) != 2 || start < 0 || end < start || (size_t)end > of_data || (end - start) % 4)
        need(NULL, key);
    *count = (end - start) / 4;
    return memcpy(need(malloc(end - start + 4), "memory"), data + start, end - start); /* the file has them at any place */
}

static double number(const char *record, const char *name) {
    char key[64];
    snprintf(key, sizeof key, "\"%s\":\"", name);
    return strtod(after(record, key), NULL);
}

/* how many of an output's numbers lie outside: the narrow set where what it is given is the file's, bit by bit, else the wide one */
static int outside(int at, const char *name, const float *mine, const char *same, size_t n) {
    size_t count, of_wide;
    int found = 0;
    const float *set = tensor(at, "set", name, &count), *wide = tensor(at, "wide", name, &of_wide);
    if (!set || !n || count < 2 * n || count % (2 * n) || (wide && of_wide != 2 * n)) { fprintf(stderr, "case %d has no set of %s in float32\n", at, name); exit(2); }
    for (size_t i = 0; i < n; i++) {
        int narrow = same[i] || !wide, right = 0;
        size_t ways = narrow ? count / (2 * n) : 1;
        for (size_t way = 0; way < ways; way++) {
            const float *ends = (narrow ? set : wide) + 2 * n * way;
            float low = ends[i], high = ends[n + i];
            int none = isnan(low) || (isinf(low) && low == high); /* NaN is right where the ends are, or are one infinity */
            right |= (mine[i] >= low && mine[i] <= high) || (none && isnan(mine[i]));
        }
        found += !right;
    }
    return found;
}

int main(int argc, char **argv) {
    char path[4096], id[64] = "";
    size_t size;
    int at = argc > 2 ? atoi(argv[2]) : 0, skipped = at;
    if (argc < 2 || at < 0) return fprintf(stderr, "%s golden/smoke/AdamW NUMBER\n", argv[0]), 64;
    snprintf(path, sizeof path, "%s.json", argv[1]), json = whole(path, &size);
    snprintf(path, sizeof path, "%s.safetensors", argv[1]), header = whole(path, &size);
    uint64_t length = 0;
    memcpy(&length, header, size < 8 ? 0 : 8);
    if (size < 8 || length > size - 8) need(NULL, "header of tensors");
    data = (const unsigned char *)header + 8 + length, of_data = size - 8 - length, header = need(strndup(header + 8, length), "memory");
    char *record = after(json, "\"cases\":["); /* one line a case */
    do record = (char *)need(strchr(record, '\n'), "such case") + 1; while (skipped--);
    line = strndup(record, (char *)need(strchr(record, '\n'), "end of the case") - record);
    sscanf(after(line, "\"id\":\""), "%63[^\"]", id);

    size_t n, of_g, of_m, of_v;
    const float *p0 = tensor(at, "in", "p", &n), *g = tensor(at, "in", "g", &of_g), *m0 = tensor(at, "in", "m", &of_m), *v0 = tensor(at, "in", "v", &of_v);
    if (!p0 || !g || !m0 || !v0 || of_g != n || of_m != n || of_v != n) { fprintf(stderr, "%s is no case in float32\n", id); exit(2); }
    float *p1 = malloc(4 * n), *m1 = malloc(4 * n), *v1 = malloc(4 * n);
    double t = number(line, "t"), b1 = number(line, "beta1"), b2 = number(line, "beta2");
    float lr = number(line, "lr"), eps = number(line, "eps"), root = number(line, "eps_root"), decay = number(line, "weight_decay");
    float c1 = 1 - pow(b1, t), c2 = 1 - pow(b2, t);
    for (size_t i = 0; i < n; i++) {
        m1[i] = (float)b1 * m0[i] + (float)(1 - b1) * g[i];
        v1[i] = (float)b2 * v0[i] + (float)(1 - b2) * g[i] * g[i];
#ifdef EPS_INSIDE
        float divisor = sqrtf(v1[i] / c2 + root + eps);
#else
        float divisor = sqrtf(v1[i] / c2 + root) + eps;
#endif
        p1[i] = p0[i] - lr * (m1[i] / c1 / divisor + decay * p0[i]);
    }

    char *any = memset(malloc(n), 1, n), *same = malloc(n);
    size_t count, of_other; /* where p depends on neither, the file has no reference of them */
    const float *m = tensor(at, "reference", "m", &count), *v = tensor(at, "reference", "v", &of_other);
    if ((m && count != n) || (v && of_other != n)) need(NULL, "references of that size");
    for (size_t i = 0; i < n; i++)
        same[i] = (!m || m1[i] == m[i] || (isnan(m1[i]) && isnan(m[i]))) && (!v || v1[i] == v[i] || (isnan(v1[i]) && isnan(v[i])));
    printf("%s: %d of %zu outside\n", id, outside(at, "m", m1, any, n) + outside(at, "v", v1, any, n) + outside(at, "p", p1, same, n), 3 * n);
    return 0;
}
