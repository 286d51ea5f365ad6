"""Displacements and records of the environment by the kernels and in JAX: same bits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernel_cases import by_both, needs_kernels

from hopgym.environment import (
    RECORDS,
    _displace_jax,
    _displace_native,
    _record_jax,
    _record_native,
)
from hopgym.native import dispatch

REPLICAS = 19


@needs_kernels
@pytest.mark.sanitize
@pytest.mark.parametrize("atoms", [1, 5, 13])
def test_displacements(backend, double, atoms):
    rng = np.random.default_rng(atoms)
    dtype = jnp.zeros(()).dtype
    positions, update = rng.normal(size=(2, REPLICAS, atoms, 3)).astype(dtype)
    special = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 1e15, -0.0], dtype)
    update = np.where(
        rng.random(update.shape) < 0.3, rng.choice(special, update.shape), update
    )
    positions[1] = 1e15
    positions[2, 0] = np.nan
    faults = np.arange(REPLICAS, dtype=np.int32)

    @jax.jit
    @jax.vmap
    def displace(*operands):
        return dispatch(_displace_native, _displace_jax, *operands)

    mine, (expected, counts) = by_both(
        backend, lambda: displace(positions, faults, update)
    )
    assert np.any(counts > faults)
    for moved, found in mine.values():
        np.testing.assert_array_equal(moved, expected)
        np.testing.assert_array_equal(found, counts)


@needs_kernels
@pytest.mark.sanitize
@pytest.mark.parametrize("atoms", [1, 13])
def test_records(backend, double, atoms):
    rng = np.random.default_rng(atoms)
    dtype = jnp.zeros(()).dtype
    positions, best = rng.normal(size=(2, REPLICAS, atoms, 3)).astype(dtype)
    energy, best_energy = rng.integers(-3, 3, (2, REPLICAS)).astype(dtype)
    energy[:2] = np.nan, -np.inf
    best_energy[2:4] = np.inf
    steps = np.arange(REPLICAS, dtype=np.int32)
    hits = np.where(rng.random(REPLICAS) < 0.3, steps, -1).astype(np.int32)
    records = dict(
        zip(RECORDS, (best, best_energy, hits, steps, steps + 1), strict=True)
    )

    @jax.jit
    def record(records, positions, energy):
        def one(*operands):
            return dispatch(_record_native, _record_jax, *operands, jnp.zeros(()))

        return jax.vmap(one)(records, positions, energy)

    mine, expected = by_both(backend, lambda: record(records, positions, energy))
    assert np.any(expected["first_hit"] != hits)
    assert np.any(expected["best_energy"] != best_energy)
    for found in mine.values():
        for name in RECORDS:
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
