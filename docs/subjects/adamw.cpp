// AdamW as a subject of `refgrad judge`: c++ -std=c++17 -O2 -ffp-contract=off adamw.cpp -o adamw
// -DNO_CORRECTION builds it wrong.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

using Text = std::string;

static double number(const Text &line, const Text &name) {
    const Text key = '"' + name + "\":\"";
    return std::strtod(line.c_str() + line.find(key) + key.size(), nullptr);
}

static std::vector<float> array(const Text &line, const Text &name, Text &shape) {
    const Text key = '"' + name + "\":{\"shape\":";
    const size_t start = line.find(key) + key.size(), end = line.find(']', start);
    shape = line.substr(start, end - start + 1);
    std::vector<float> values;
    const char *at = line.c_str() + line.find("\"data\":[", end) + 8;
    for (char *next; *at && *at != ']';)
        if (*at == '"') values.push_back((float)std::strtod(at + 1, &next)), at = next + 1;
        else at++;
    return values;
}

static Text text(const Text &name, const std::vector<float> &values, const Text &shape) {
    Text found = '"' + name + "\":{\"shape\":" + shape + ",\"data\":[";
    char one[40];
    for (size_t i = 0; i < values.size(); i++) {
        std::snprintf(one, sizeof one, "%s\"%a\"", i ? "," : "", values[i]);
        found += one;
    }
    return found + "]}";
}

int main() {
    for (Text line, shape; std::getline(std::cin, line);) {
        if (line.find("\"ask\":\"hello\"") != Text::npos) {
            std::cout << R"({"refgrad":1,"name":"adamw.cpp","rules":["AdamW"],"dtypes":["float32"],)"
                      << R"("takes":["p","g","m","v","t","lr","beta1","beta2","eps","weight_decay"],)"
                      << R"("gives":["p","m","v"]})" << std::endl;
            continue;
        }
        auto p = array(line, "p", shape), g = array(line, "g", shape), m = array(line, "m", shape), v = array(line, "v", shape);
        const double t = number(line, "t"), beta1 = number(line, "beta1"), beta2 = number(line, "beta2");
        const float b1 = beta1, w1 = 1 - beta1, b2 = beta2, w2 = 1 - beta2, lr = number(line, "lr");
#ifdef NO_CORRECTION
        const float c1 = 1, c2 = 1;
#else
        const float c1 = 1 - std::pow(beta1, t), c2 = 1 - std::pow(beta2, t);
#endif
        const float eps = number(line, "eps"), decay = number(line, "weight_decay");
        for (size_t i = 0; i < p.size(); i++) {
            m[i] = b1 * m[i] + w1 * g[i];
            v[i] = b2 * v[i] + w2 * g[i] * g[i];
            p[i] -= lr * (m[i] / c1 / (std::sqrt(v[i] / c2) + eps) + decay * p[i]);
        }
        const size_t id = line.find("\"id\":") + 5;
        std::cout << "{\"id\":" << std::strtol(line.c_str() + id, nullptr, 10) << ",\"arrays\":{" << text("p", p, shape) << ','
                  << text("m", m, shape) << ',' << text("v", v, shape) << "}}" << std::endl;
    }
}
