/* Reads one golden case of AdamW in float32 and judges a step of it: cc -O2 read_golden.c -lm -o read_golden; ./read_golden golden/smoke/AdamW NUMBER
 * -DEPS_INSIDE builds the step wrong. Prints how many numbers are outside. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *json, *header, *line;
static const unsigned char *data;

static char *whole(const char *path, long *size) {
    FILE *file = fopen(path, "rb");
    if (!file) { perror(path); exit(2); }
    fseek(file, 0, SEEK_END), *size = ftell(file), rewind(file);
    char *text = calloc(*size + 1, 1);
    if (fread(text, 1, *size, file) != (size_t)*size) exit(2);
    fclose(file);
    return text;
}

/* an array of a case in float32 by its part and name, and how many numbers it has */
static const float *tensor(int number, const char *part, const char *name, size_t *count) {
    char key[128];
    snprintf(key, sizeof key, "\"%s/%s\":\"", part, name);
    const char *at = strstr(line, key); /* "shared" of the case: the array stands there by the name of another */
    if (at) {
        char other[96];
        sscanf(at + strlen(key), "%95[^\"]", other), snprintf(key, sizeof key, "\"%s\":{\"dtype\":\"F32\"", other);
    } else
        snprintf(key, sizeof key, "\"%d/%s/%s\":{\"dtype\":\"F32\"", number, part, name);
    at = strstr(header, key);
    if (!at) { *count = 0; return NULL; }
    long start, end;
    sscanf(strstr(at, "\"data_offsets\":[") + 16, "%ld,%ld", &start, &end);
    *count = (end - start) / 4;
    return (const float *)(data + start);
}

static double number(const char *record, const char *name) {
    char key[64];
    snprintf(key, sizeof key, "\"%s\":\"", name);
    return strtod(strstr(record, key) + strlen(key), NULL);
}

/* how many of an output's numbers lie outside: the narrow set where what it is given is the file's, bit by bit, else the wide one */
static int outside(int at, const char *name, const float *mine, const char *same, size_t n) {
    size_t count, of_wide;
    int found = 0;
    const float *set = tensor(at, "set", name, &count), *wide = tensor(at, "wide", name, &of_wide);
    if (!set) { fprintf(stderr, "case %d has no set of %s in float32\n", at, name); exit(2); }
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
    char path[4096], id[64];
    long size;
    int at = argc > 2 ? atoi(argv[2]) : 0, skipped = at;
    snprintf(path, sizeof path, "%s.json", argv[1]), json = whole(path, &size);
    snprintf(path, sizeof path, "%s.safetensors", argv[1]), header = whole(path, &size);
    uint64_t length;
    memcpy(&length, header, 8), data = (const unsigned char *)header + 8 + length, header += 8;
    char *record = strstr(json, "\"cases\":["); /* one line a case */
    do record = strchr(record, '\n') + 1; while (skipped--);
    line = strndup(record, strchr(record, '\n') - record);
    sscanf(strstr(line, "\"id\":\"") + 6, "%63[^\"]", id);

    size_t n;
    const float *p0 = tensor(at, "in", "p", &n), *g = tensor(at, "in", "g", &n), *m0 = tensor(at, "in", "m", &n), *v0 = tensor(at, "in", "v", &n);
    if (!p0 || !g || !m0 || !v0) { fprintf(stderr, "%s is no case in float32\n", id); exit(2); }
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
    size_t count; /* where p depends on neither, the file has no reference of them */
    const float *m = tensor(at, "reference", "m", &count), *v = tensor(at, "reference", "v", &count);
    for (size_t i = 0; i < n; i++)
        same[i] = (!m || m1[i] == m[i] || (isnan(m1[i]) && isnan(m[i]))) && (!v || v1[i] == v[i] || (isnan(v1[i]) && isnan(v[i])));
    printf("%s: %d of %zu outside\n", id, outside(at, "m", m1, any, n) + outside(at, "v", v1, any, n) + outside(at, "p", p1, same, n), 3 * n);
    return 0;
}
