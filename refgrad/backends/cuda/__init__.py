"""Kernels for CUDA: printed from the graphs that CPU kernels are printed from, compiled by NVRTC, launched on a device.

No driver is needed to print and to compile. What is covered, and what is not, is in docs/cuda.md.
"""
