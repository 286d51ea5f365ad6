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


def by_both(backend, compute):
    """Results of a function with the native and with the JAX backend."""
    found = []
    for name in ("native", "xla"):
        backend(name)
        found.append(jax.tree.map(np.asarray, compute()))
    return found


def starts(system, count, key=0):
    """Random starts."""
    keys = jax.random.split(jax.random.key(key), count)
    return jax.jit(jax.vmap(system.sample))(keys)
