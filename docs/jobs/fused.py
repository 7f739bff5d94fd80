import ctypes

import numpy as np

lib = ctypes.CDLL("./fused.so")
array = np.ctypeslib.ndpointer(np.float32, flags="C")
lib.fused_adamw.argtypes = [array] * 4 + [ctypes.c_int] * 2 + [ctypes.c_float] * 5


def step(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay):
    lib.fused_adamw(p, g, m, v, p.size, t, lr, beta1, beta2, eps, weight_decay)
