"""Helpers for the tests of kernels."""

import os

import jax
import numpy as np
import pytest

from hopgym import native

library = native._load_library()[0]
needs_kernels = pytest.mark.skipif(
    library is None and os.environ.get("HOPGYM_KERNELS") != "1",
    reason="hopgym was installed without kernels",
)


def by_instruction_sets(compute):
    """Results by the kernels of each instruction set that the processor has."""
    best = native.instruction_set()
    assert best is not None
    found = {}
    try:
        for name in ("baseline", "avx2", "avx512"):
            library.hopgym_isa(name.encode())
            if native.instruction_set() == name:
                found[name] = jax.tree.map(np.asarray, compute())
    finally:
        library.hopgym_isa(best.encode())
    return found


def by_both(backend, compute):
    """Results by the kernels of each instruction set, and by the formulas.

    A function compiled outside of `compute` is compiled once for all instruction sets.
    """
    backend("native")
    mine = by_instruction_sets(compute)
    backend("xla")
    return mine, jax.tree.map(np.asarray, compute())


def starts(system, count, key=0):
    """Random starts."""
    keys = jax.random.split(jax.random.key(key), count)
    return jax.jit(jax.vmap(system.sample))(keys)
