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


def starts(system, count):
    """Random structures without overlaps: displaced sites of a lattice, shuffled.

    They and what is made of them are NumPy's: JAX would compile all of that for every
    system and count.
    """
    rng = np.random.default_rng(0)
    sites = round(np.ceil(system.atoms ** (1 / 3)))
    lattice = np.stack(np.unravel_index(np.arange(system.atoms), (sites,) * 3), axis=1)
    mixed = np.stack([rng.permutation(lattice) for _ in range(count)])
    spacing = 1.2 * system.length if system.box is None else system.box / sites
    displaced = mixed + rng.uniform(-0.1, 0.1, mixed.shape)
    return (displaced * np.asarray(spacing)).astype(system.length.dtype)
