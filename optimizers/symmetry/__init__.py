"""Subspaces of symmetric structures, and moves within them."""
