/* AdamW in place, as a shared library: cc -O2 -ffp-contract=off -shared -fPIC libadamw.c -lm -o libadamw.so; -DNO_DECAY is wrong */
#include <math.h>

void adamw(float *p, const float *g, float *m, float *v, int n, int t,
           double lr, double beta1, double beta2, double eps, double weight_decay) {
    const float b1 = beta1, w1 = 1 - beta1, b2 = beta2, w2 = 1 - beta2;
    const float c1 = 1 - pow(beta1, t), c2 = 1 - pow(beta2, t);
#ifdef NO_DECAY
    weight_decay = 0;
#endif
    for (int i = 0; i < n; i++) {
        m[i] = b1 * m[i] + w1 * g[i];
        v[i] = b2 * v[i] + w2 * g[i] * g[i];
        p[i] -= (float)lr * (m[i] / c1 / (sqrtf(v[i] / c2) + (float)eps) + (float)weight_decay * p[i]);
    }
}
