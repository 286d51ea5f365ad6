"""Kernels for few and many atoms and replicas, and where rows end within a vector."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernel_cases import by_both, needs_kernels

from hopgym import get_system
from hopgym.context import Context
from hopgym.optimizers import LBFGS, load
from hopgym.optimizers.learned.radial import radial_functions

# Around the lanes of every instruction set, and the most that is promised.
ATOMS = [
    *(2, 17, 1000),
    *(pytest.param(atoms, marks=pytest.mark.sanitize) for atoms in (3, 9, 16, 33)),
]


def scattered(atoms, length, replicas=1):
    """Atoms on a cubic lattice, a little displaced."""
    edge = round(np.ceil(atoms ** (1 / 3)))
    lattice = np.stack(np.unravel_index(np.arange(atoms), (edge,) * 3), axis=1)
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, (replicas, atoms, 3))
    return jnp.asarray(1.1 * length * (lattice + noise), float), 1.1 * length * edge


def agree(mine, formulas, double):
    tolerance = 1e-11 if double else 2e-5
    expected = jax.tree.leaves(formulas)
    for found in mine.values():
        for a, b in zip(jax.tree.leaves(found), expected, strict=True):
            floor = tolerance * np.abs(b).max()
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=floor)


@needs_kernels
@pytest.mark.parametrize("atoms", ATOMS)
@pytest.mark.parametrize("name", ["LJ-2", "Morse6-2", "Gupta-Ag1Au1", "SW-Si64"])
def test_atoms(backend, double, name, atoms):
    system = get_system(name)
    where, edge = scattered(atoms, float(system.length))
    box = None if system.box is None else jnp.maximum(system.box, edge)
    species = jnp.asarray(np.arange(atoms) % 2 * name.startswith("Gupta"), int)

    potential = system.potential

    def one(positions):
        energies = potential.atom_energies(positions, species, box)
        return *potential.energy_and_gradient(positions, species, box), energies

    compute = jax.jit(jax.vmap(one))
    agree(*by_both(backend, lambda: compute(where)), double)


@needs_kernels
@pytest.mark.parametrize("replicas", [1, 2, 1009, 10_000])
@pytest.mark.parametrize("name", ["LJ-3", "Gupta-Ag1Au1"])
def test_replicas(backend, name, replicas):
    system = get_system(name)
    where, _ = scattered(system.atoms, float(system.length), replicas)

    compute = jax.jit(jax.vmap(system.energy_and_gradient))
    agree(*by_both(backend, lambda: compute(where)), False)


@needs_kernels
@pytest.mark.parametrize("atoms", ATOMS)
@pytest.mark.parametrize(
    "policy", [load("learn2hop-lj13-esmc"), LBFGS()], ids=["learn2hop", "lbfgs"]
)
def test_optimizers(backend, atoms, policy):
    where, _ = scattered(atoms, 1.0)
    one = jnp.ones(())
    context = Context(jnp.zeros(atoms, int), None, one, one)
    slopes = jnp.sin(jnp.arange(3.0 * atoms)).reshape(atoms, 3) + 0.1 * where[0]

    @jax.jit
    def run(positions):
        state = policy.init(positions, key=jax.random.key(0), context=context)
        for value in (1.0, 0.5):
            moved, state = policy.update(
                value * slopes,
                state,
                positions,
                value=jnp.asarray(value),
                context=context,
            )
            positions = positions + moved
        return positions

    agree(*by_both(backend, lambda: run(where[0])), False)


@needs_kernels
@pytest.mark.parametrize("atoms", ATOMS)
def test_radial_functions(backend, double, atoms):
    where, _ = scattered(atoms, 1.0)
    one = jnp.ones(())
    context = Context(jnp.asarray(np.arange(atoms) % 2, int), None, one, one)

    compute = jax.jit(functools.partial(radial_functions, unlike=True))
    agree(*by_both(backend, lambda: compute(where[0], context)), double)
