/* Kernels of formulas in float32, written as such kernels are: loops over rows, in one pass where one is enough. */
#include <math.h>

typedef const float *in;
typedef float *out;

void rmsnorm(in x, in w, out y, long rows, long n, float eps) {
  for (long r = 0; r < rows; r++, x += n, y += n) {
    float total = 0;
    for (long i = 0; i < n; i++) total += x[i] * x[i];
    float scale = 1 / sqrtf(total / n + eps);
    for (long i = 0; i < n; i++) y[i] = x[i] * scale * w[i];
  }
}

void layernorm(in x, in w, in b, out y, long rows, long n, float eps) {
  for (long r = 0; r < rows; r++, x += n, y += n) {
    float total = 0, squares = 0;
    for (long i = 0; i < n; i++) total += x[i];
    float mean = total / n;
    for (long i = 0; i < n; i++) squares += (x[i] - mean) * (x[i] - mean);
    float scale = 1 / sqrtf(squares / n + eps);
    for (long i = 0; i < n; i++) y[i] = (x[i] - mean) * scale * w[i] + b[i];
  }
}

void layernorm_online(in x, in w, in b, out y, long rows, long n, float eps) {
  for (long r = 0; r < rows; r++, x += n, y += n) {
    float mean = 0, squares = 0;
    for (long i = 0; i < n; i++) {
      float off = x[i] - mean;
      mean += off / (i + 1);
      squares += off * (x[i] - mean);
    }
    float scale = 1 / sqrtf(squares / n + eps);
    for (long i = 0; i < n; i++) y[i] = (x[i] - mean) * scale * w[i] + b[i];
  }
}

void groupnorm(in x, in w, in b, out y, long rows, long groups, long n, float eps) {
  for (long r = 0; r < rows; r++)
    for (long g = 0; g < groups; g++, x += n, y += n) layernorm(x, w + g * n, b + g * n, y, 1, n, eps);
}

void softmax(in x, out y, long rows, long n) {
  for (long r = 0; r < rows; r++, x += n, y += n) {
    float largest = x[0], total = 0;
    for (long i = 1; i < n; i++) largest = x[i] > largest ? x[i] : largest;
    for (long i = 0; i < n; i++) total += y[i] = expf(x[i] - largest);
    for (long i = 0; i < n; i++) y[i] /= total;
  }
}

static void running(in x, long n, float *largest, float *total) {
  *largest = -INFINITY, *total = 0;
  for (long i = 0; i < n; i++) {
    if (x[i] > *largest) {
      *total *= expf(*largest - x[i]);
      *largest = x[i];
    }
    *total += expf(x[i] - *largest);
  }
}

void softmax_online(in x, out y, long rows, long n) {
  for (long r = 0; r < rows; r++, x += n, y += n) {
    float largest, total;
    running(x, n, &largest, &total);
    for (long i = 0; i < n; i++) y[i] = expf(x[i] - largest) / total;
  }
}

void log_softmax(in x, out y, long rows, long n) {
  for (long r = 0; r < rows; r++, x += n, y += n) {
    float largest = x[0], total = 0;
    for (long i = 1; i < n; i++) largest = x[i] > largest ? x[i] : largest;
    for (long i = 0; i < n; i++) total += expf(x[i] - largest);
    float log_total = logf(total);
    for (long i = 0; i < n; i++) y[i] = x[i] - largest - log_total;
  }
}

void log_softmax_online(in x, out y, long rows, long n) {
  for (long r = 0; r < rows; r++, x += n, y += n) {
    float largest, total;
    running(x, n, &largest, &total);
    float log_total = logf(total);
    for (long i = 0; i < n; i++) y[i] = x[i] - largest - log_total;
  }
}

void cross_entropy_of_labels(in x, const long *labels, out y, long rows, long n, float smoothing, float z_loss) {
  float sum = 0;
  for (long r = 0; r < rows; r++, x += n) {
    float largest, total, all = 0;
    running(x, n, &largest, &total);
    float log_sum = largest + logf(total);
    for (long i = 0; i < n; i++) all += x[i];
    sum += (1 - smoothing) * (log_sum - x[labels[r]]) + smoothing * (log_sum - all / n) + z_loss * log_sum * log_sum;
  }
  *y = sum / rows;
}

void gelu(in x, out y, long n) {
  for (long i = 0; i < n; i++) y[i] = 0.5f * x[i] * (1 + erff(x[i] * 0.70710678118654752f));
}

void gelu_tanh(in x, out y, long n) {
  for (long i = 0; i < n; i++)
    y[i] = 0.5f * x[i] * (1 + tanhf(0.79788456080286536f * (x[i] + 0.044715f * x[i] * x[i] * x[i])));
}

void swiglu(in x, in g, out y, long n) {
  for (long i = 0; i < n; i++) y[i] = x[i] * (g[i] / (1 + expf(-g[i])));
}

void geglu(in x, in g, out y, long n) {
  for (long i = 0; i < n; i++) y[i] = x[i] * (0.5f * g[i] * (1 + erff(g[i] * 0.70710678118654752f)));
}

void rotary(in x, in cos, in sin, out y, long tokens, long heads, long pairs) {
  for (long t = 0; t < tokens; t++)
    for (long h = 0; h < heads; h++, x += 2 * pairs, y += 2 * pairs)
      for (long i = 0; i < pairs; i++) {
        float c = cos[t * pairs + i], s = sin[t * pairs + i];
        y[2 * i] = x[2 * i] * c - x[2 * i + 1] * s;
        y[2 * i + 1] = x[2 * i] * s + x[2 * i + 1] * c;
      }
}

void rotary_of_halves(in x, in cos, in sin, out y, long tokens, long heads, long pairs) {
  for (long t = 0; t < tokens; t++)
    for (long h = 0; h < heads; h++, x += 2 * pairs, y += 2 * pairs)
      for (long i = 0; i < pairs; i++) {
        float c = cos[t * pairs + i], s = sin[t * pairs + i];
        y[i] = x[i] * c - x[pairs + i] * s;
        y[pairs + i] = x[i] * s + x[pairs + i] * c;
      }
}

static float dot(in a, in b, long n) {
  float total = 0;
  for (long i = 0; i < n; i++) total += a[i] * b[i];
  return total;
}

/* as of one row of queries: the largest score so far, the sum and the result are scaled anew where it rises */
static void attend(in q, in k, in v, out y, long keys, long depth, long value, float scale) {
  float largest = -INFINITY, total = 0;
  for (long c = 0; c < value; c++) y[c] = 0;
  for (long j = 0; j < keys; j++) {
    float score = scale * dot(q, k + j * depth, depth);
    if (score > largest) {
      float shrink = expf(largest - score);
      total *= shrink;
      for (long c = 0; c < value; c++) y[c] *= shrink;
      largest = score;
    }
    float power = expf(score - largest);
    total += power;
    for (long c = 0; c < value; c++) y[c] += power * v[j * value + c];
  }
  for (long c = 0; c < value; c++) y[c] /= total;
}

void attention_online(in q, in k, in v, out y, long queries, long keys, long depth, long value, float scale) {
  for (long i = 0; i < queries; i++) attend(q + i * depth, k, v, y + i * value, keys, depth, value, scale);
}

void causal_attention_online(in q, in k, in v, out y, long tokens, long depth, long value, float scale) {
  for (long i = 0; i < tokens; i++) attend(q + i * depth, k, v, y + i * value, i + 1, depth, value, scale);
}

void attention(in q, in k, in v, out y, out scores, long queries, long keys, long depth, long value, float scale) {
  for (long i = 0; i < queries; i++) {
    for (long j = 0; j < keys; j++) scores[j] = scale * dot(q + i * depth, k + j * depth, depth);
    softmax(scores, scores, 1, keys);
    for (long c = 0; c < value; c++) {
      float total = 0;
      for (long j = 0; j < keys; j++) total += scores[j] * v[j * value + c];
      y[i * value + c] = total;
    }
  }
}

void linear(in x, in w, in b, out y, long rows, long n, long outs) {
  for (long r = 0; r < rows; r++)
    for (long o = 0; o < outs; o++) y[r * outs + o] = b[o] + dot(x + r * n, w + o * n, n);
}

void scaled_matmul(in x, in w, in xs, in ws, out y, long rows, long n, long outs) {
  for (long r = 0; r < rows; r++)
    for (long o = 0; o < outs; o++) y[r * outs + o] = dot(x + r * n, w + o * n, n) * xs[r] * ws[o];
}

void dropout(in x, const long *bits, out y, long n, float rate) {
  float scale = 1 / (1 - rate);
  for (long i = 0; i < n; i++) y[i] = bits[i] < rate * 256 ? 0 : x[i] * scale;
}

void depthwise_convolution(in x, in w, out y, long rows, long channels, long time) {
  for (long r = 0; r < rows; r++)
    for (long c = 0; c < channels; c++, x += time, y += time)
      for (long t = 0; t < time; t++) {
        float total = w[3 * c + 1] * x[t];
        if (t > 0) total += w[3 * c] * x[t - 1];
        if (t + 1 < time) total += w[3 * c + 2] * x[t + 1];
        y[t] = total;
      }
}

void statistics(in x, out mean, out variance, long rows, long n) {
  for (long i = 0; i < n; i++) {
    mean[i] = variance[i] = 0;
    for (long r = 0; r < rows; r++) {
      float off = x[r * n + i] - mean[i];
      mean[i] += off / (r + 1);
      variance[i] += off * (x[r * n + i] - mean[i]);
    }
    variance[i] /= rows;
  }
}

void rmsnorm_backward(in x, in w, in g, out dx, out dw, long rows, long n, float eps) {
  for (long i = 0; i < n; i++) dw[i] = 0;
  for (long r = 0; r < rows; r++, x += n, g += n, dx += n) {
    float along = 0;
    float scale = 1 / sqrtf(dot(x, x, n) / n + eps);
    for (long i = 0; i < n; i++) along += g[i] * w[i] * x[i] * scale;
    for (long i = 0; i < n; i++) dx[i] = scale * (g[i] * w[i] - x[i] * scale * along / n);
    for (long i = 0; i < n; i++) dw[i] += g[i] * x[i] * scale;
  }
}

void softmax_backward(in x, in g, out dx, long rows, long n) {
  softmax(x, dx, rows, n);
  for (long r = 0; r < rows; r++, g += n, dx += n) {
    float along = dot(dx, g, n);
    for (long i = 0; i < n; i++) dx[i] *= g[i] - along;
  }
}

void embedding_backward(const long *tokens, in g, out table, long count, long words, long n) {
  for (long i = 0; i < words * n; i++) table[i] = 0;
  for (long t = 0; t < count; t++)
    for (long i = 0; i < n; i++) table[tokens[t] * n + i] += g[t * n + i];
}
