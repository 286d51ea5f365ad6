"""Comparisons of optimizers, and of implementations, under written protocols."""
