/* AdamW as a subject of `refgrad judge`: cc -O2 -ffp-contract=off adamw.c -lm -o adamw
 * It answers lines of JSON, of which it reads what it needs by name. -DEPS_INSIDE builds it wrong. */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *HELLO =
    "{\"refgrad\":1,\"name\":\"adamw.c\",\"rules\":[\"AdamW\"],\"dtypes\":[\"float32\"],\"encoding\":\"hex\","
    "\"takes\":[\"p\",\"g\",\"m\",\"v\",\"t\",\"lr\",\"beta1\",\"beta2\",\"eps\",\"weight_decay\"],"
    "\"gives\":[\"p\",\"m\",\"v\"],\"restrictions\":[]}";

/* a number: "name":"0x1.8p+0" */
static double number(const char *line, const char *name) {
    char key[64];
    snprintf(key, sizeof key, "\"%s\":\"", name);
    const char *at = strstr(line, key);
    return at ? strtod(at + strlen(key), NULL) : 0.0;
}

/* an array: "name":{"shape":[2],"data":["0x1p+0","-0x1p-1"]}; its shape as text too */
static float *array(const char *line, const char *name, size_t *count, char *shape) {
    char key[64];
    snprintf(key, sizeof key, "\"%s\":{\"shape\":[", name);
    const char *at = strstr(line, key);
    if (!at) return NULL;
    sscanf(at + strlen(key), "%63[0-9,]", shape);
    at = strstr(at, "\"data\":[") + 8;
    float *values = malloc((strlen(at) / 4 + 1) * sizeof *values);
    for (*count = 0; *at && *at != ']';)
        if (*at == '"') {
            char *end;
            values[(*count)++] = (float)strtod(at + 1, &end);
            at = end + 1;
        } else at++;
    return values;
}

static void put(const char *name, const float *values, size_t count, const char *shape) {
    printf("\"%s\":{\"shape\":[%s],\"data\":[", name, shape);
    for (size_t i = 0; i < count; i++) printf("%s\"%a\"", i ? "," : "", values[i]);
    printf("]}");
}

int main(void) {
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        if (strstr(line, "\"ask\":\"hello\"")) { puts(HELLO); fflush(stdout); continue; }
        size_t n = 0;
        char shape[64] = "";
        float *p = array(line, "p", &n, shape), *g = array(line, "g", &n, shape);
        float *m = array(line, "m", &n, shape), *v = array(line, "v", &n, shape);
        double t = number(line, "t"), beta1 = number(line, "beta1"), beta2 = number(line, "beta2");
        float b1 = beta1, w1 = 1 - beta1, b2 = beta2, w2 = 1 - beta2, lr = number(line, "lr");
        float c1 = 1 - pow(beta1, t), c2 = 1 - pow(beta2, t), eps = number(line, "eps"), decay = number(line, "weight_decay");
        for (size_t i = 0; i < n; i++) {
            m[i] = b1 * m[i] + w1 * g[i];
            v[i] = b2 * v[i] + w2 * g[i] * g[i];
#ifdef EPS_INSIDE
            float divisor = sqrtf(v[i] / c2 + eps);
#else
            float divisor = sqrtf(v[i] / c2) + eps;
#endif
            p[i] -= lr * (m[i] / c1 / divisor + decay * p[i]);
        }
        printf("{\"id\":%ld,\"arrays\":{", strtol(strstr(line, "\"id\":") + 5, NULL, 10));
        put("p", p, n, shape), putchar(','), put("m", m, n, shape), putchar(','), put("v", v, n, shape);
        puts("}}");
        fflush(stdout);
        free(p), free(g), free(m), free(v);
    }
    return 0;
}
