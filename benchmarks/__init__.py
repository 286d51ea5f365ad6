"""Benchmarks: of optimizers, and of the speed of implementations."""
