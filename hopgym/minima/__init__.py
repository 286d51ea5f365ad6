"""Distinct minima of a system, and their symmetry."""
