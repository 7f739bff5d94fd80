"""Crashes the process that imports it."""

import ctypes

ctypes.string_at(8)
