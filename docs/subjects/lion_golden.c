/* Lion judged by its golden files, in float32 and bfloat16: cc -O2 -ffp-contract=off lion_golden.c -lm -o lion_golden
 * ./lion_golden golden/smoke prints for each case how many of the numbers that it judged are outside; -DEXCHANGED builds it with its decays exchanged. */
#include "golden.h"

static double stored(double x, const char *dtype) { /* as an array of the case's dtype keeps it: rounded to nearest, ties to even */
    float narrow = (float)x;
    uint32_t bits;
    memcpy(&bits, &narrow, 4);
    if (strcmp(dtype, "bfloat16") || isnan(narrow)) return narrow;
    bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
    memcpy(&narrow, &bits, 4);
    return narrow;
}

int main(int argc, char **argv) {
    golden_file file = golden_open(argc > 1 ? argv[1] : "golden/smoke", "Lion");
    size_t total = 0;
    const golden_json *record = golden_need(file.document, "cases", '[')->child;
    for (int number = 0; record; number++, record = record->next) {
        const char *dtype = golden_word(record, "dtype");
        if (*golden_word(record, "variant") || (strcmp(dtype, "float32") && strcmp(dtype, "bfloat16"))) continue;
        const golden_json *settings = golden_get(record, "hyperparameters");
        double b1 = golden_number(settings, "beta1"), b2 = golden_number(settings, "beta2"), decay = golden_number(settings, "weight_decay");
#ifdef EXCHANGED
        double other = b1;
        b1 = b2, b2 = other;
#endif
        float lr = golden_number(settings, "lr"), c1 = b1, c2 = b2, d1 = 1 - b1, d2 = 1 - b2; /* 1 - beta in double, rounded once */
        float shrink = golden_number(settings, "lr") * decay;
        size_t n = 0;
        double *p = golden_input(&file, number, "p", &n), *g = golden_input(&file, number, "g", &n);
        double *m = golden_input(&file, number, "m", &n), *p1 = calloc(n, sizeof *p1), *m1 = calloc(n, sizeof *m1);
        for (size_t i = 0; i < n; i++) {
            float mf = m[i], gf = g[i], pf = p[i], c = c1 * mf + d1 * gf;
            float sign = isnan(c) ? NAN : (c > 0) - (c < 0);
            m1[i] = stored(c2 * mf + d2 * gf, dtype), p1[i] = stored(pf - shrink * pf - lr * sign, dtype);
        }
        golden_result results[] = {{"p", p1, n}, {"m", m1, n}, {0}};
        golden_counts all = {0};
        for (const golden_json *output = golden_need(record, "outputs", '[')->child; output; output = output->next) {
            golden_counts of = golden_judge(&file, number, output, results);
            all.judged += of.judged, all.outside += of.outside;
        }
        printf("%s (%s, %s): %zu of %zu outside\n", golden_word(record, "id"), dtype, golden_word(record, "family"), all.outside, all.judged);
        if (all.outside) golden_named(&file, record, results);
        total += all.outside;
    }
    return total > 0;
}
