import numpy as np


def quantize(x):
    largest = np.max(np.abs(x), initial=0)
    scale = np.float32(largest / np.float32(127) if largest else 1)
    codes = np.clip(np.floor(x / scale + np.float32(0.5)), -127, 127)
    return scale, codes.astype(np.int8)
