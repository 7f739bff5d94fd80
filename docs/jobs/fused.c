#include <math.h>
void fused_adamw(float *p, const float *g, float *m, float *v, int n, int t,
                 float lr, float beta1, float beta2, float eps, float weight_decay) {
  float c1 = 1 - powf(beta1, t), c2 = 1 - powf(beta2, t);
  for (int i = 0; i + 4 <= n; i += 4)
    for (int j = i; j < i + 4; j++) {
      m[j] = beta1 * m[j] + (1 - beta1) * g[j];
      v[j] = beta2 * v[j] + (1 - beta2) * g[j] * g[j];
      p[j] -= lr * ((m[j] / c1) / (sqrtf(v[j] / c2) + eps) + weight_decay * p[j]);
    }
}
