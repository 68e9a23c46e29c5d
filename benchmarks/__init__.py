"""Benchmarks: the loop side by side with what a user would pick instead, both in one run, told as a ratio.

Here belongs measuring. A benchmark reports its aims, met or missed, and fails only where it could not measure.
"""
