"""Energies and gradients by kernels in C++ against the formulas in JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernel_cases import (
    by_both,
    by_instruction_sets,
    needs_kernels,
    starts,
)

from hopgym import get_system
from hopgym.potentials import LennardJones

# Stiffness of a bond, by which the rounding of a distance changes a force, in units of
# energy and length.
STIFFNESS = {"LJ": 72, "Morse14": 2 * 14**2, "Gupta": 72, "SW": 300}


def everything_of(system):
    """Energy, gradient and energies of atoms as a function of positions."""

    def compute(positions):
        atoms = system.potential.atom_energies(positions, system.species, system.box)
        return *system.energy_and_gradient(positions), atoms

    return compute


@needs_kernels
@pytest.mark.parametrize(
    "name",
    [
        *("LJ-2", "LJ-13", "LJ-38", "Morse14-6"),
        *("Gupta-Au2", "Gupta-Au13", "Gupta-Ag3Au4", "SW-Si8", "SW-Si64"),
    ],
)
def test_potentials(backend, double, name):
    system = get_system(name)
    near = starts(system, 3)
    overlap = near.copy()
    overlap[:, 1] = near[:, 0] + 5e-3 * float(system.length)
    # In a box nothing dissociates.
    far = near + 100 if system.box is not None else 20 * near
    where = np.concatenate([near, 0.3 * near, far, overlap, near + 100])

    compute = jax.jit(jax.vmap(everything_of(system)))
    mine, formulas = by_both(backend, lambda: compute(where))
    with jax.enable_x64(True):
        precise = jax.jit(jax.vmap(everything_of(get_system(name))))
        expected = precise(np.asarray(where, np.float64))
        e, g, atoms = map(np.asarray, expected)
    tolerance = 1e-12 if double else 5e-6
    unit = float(system.energy_unit) / float(system.length)
    floor = STIFFNESS[name.partition("-")[0]] / 16 * unit
    largest = np.abs(g).max(axis=(1, 2), keepdims=True)
    # Positions that are rounded, in boxes and near overlaps, cost the formulas as much.
    scales = (
        1 + np.abs(e),
        largest + floor,
        1 + np.abs(atoms).max(axis=1, keepdims=True),
    )
    for formula, exact, scale, *found in zip(
        formulas, (e, g, atoms), scales, *mine.values(), strict=True
    ):
        rounding = np.abs(formula - exact).max(axis=tuple(range(1, exact.ndim)))
        allowed = tolerance * scale + 2 * rounding.reshape(-1, *[1] * (exact.ndim - 1))
        for one in found:
            assert np.all(np.abs(one - exact) <= allowed)


@needs_kernels
@pytest.mark.sanitize
def test_coincident_atoms_are_high_and_finite(backend):
    backend("native")
    for name in ("LJ-4", "Gupta-Ag2Au2", "SW-Si64"):
        system = get_system(name)
        same = jnp.zeros((system.atoms, 3))
        energy, gradient = system.energy_and_gradient(same)
        assert np.isfinite(energy) and energy > 0 and np.all(gradient == 0)


@needs_kernels
def test_silicon_without_bonds(backend, double):
    backend("native")
    system = get_system("SW-Si64")
    potential = system.potential
    assert system.box is not None
    two = 0.25 * system.box * jnp.array([[0.0], [2.0]])
    species = jnp.zeros(2, int)
    energy, gradient = potential.energy_and_gradient(two, species, system.box)
    assert energy == 0 and np.all(gradient == 0)


@needs_kernels
@pytest.mark.parametrize("name", ["LJ-13", "Gupta-Ag2Au3", "SW-Si8", "SW-Si64"])
def test_replicas_do_not_depend_on_each_other(backend, double, name):
    backend("native")
    system = get_system(name)
    where = starts(system, 67)
    of_one = jax.jit(everything_of(system))
    of_all = jax.jit(jax.vmap(everything_of(system)))
    everything = of_all(where)
    for count in (1, 7, 67):
        spoiled = where[:count].copy()
        spoiled[: count - 1 : 2] = np.nan
        spoiled[1 : count - 1 : 4, 1] = spoiled[1 : count - 1 : 4, 0]
        some = of_all(spoiled)
        last = count - 1
        for whole, part in zip(everything, some, strict=True):
            np.testing.assert_array_equal(whole[last], part[last])
        alone = of_one(where[last])
        for whole, single in zip(everything, alone, strict=True):
            np.testing.assert_array_equal(whole[last], single)


@needs_kernels
@pytest.mark.sanitize
@pytest.mark.parametrize(
    "name", ["LJ-19", "Morse6-7", "Gupta-Ag9Au10", "SW-Si8", "SW-Si64"]
)
def test_atoms_in_lanes_and_replicas_in_lanes(backend, double, name):
    backend("native")
    system = get_system(name)
    where = starts(system, 33)
    where[32, 1] = where[32, 0] + 1e-2 * float(system.length)
    of_batch = jax.jit(jax.vmap(everything_of(system)))

    def compute():
        return of_batch(where), [of_batch(where[k : k + 1]) for k in (0, 32)]

    for of_all, alone in by_instruction_sets(compute).values():
        for k, one in zip((0, 32), alone, strict=True):
            for whole, single in zip(of_all, one, strict=True):
                np.testing.assert_array_equal(whole[k], single[0])


@needs_kernels
@pytest.mark.sanitize
def test_parameters_may_differ_between_replicas(backend):
    system = get_system("LJ-5")
    where = jnp.asarray(starts(system, 9))
    depths = jnp.linspace(0.5, 2.0, 9)

    def one(positions, epsilon):
        potential = system.potential
        assert isinstance(potential, LennardJones)
        deeper = jax.tree.map(
            lambda x: epsilon if x is potential.epsilon else x, potential
        )
        return deeper.energy_and_gradient(positions, system.species, None)

    mine, formulas = by_both(backend, jax.jit(lambda: jax.vmap(one)(where, depths)))
    for found in mine.values():
        for a, b in zip(found, formulas, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-5)


@needs_kernels
@pytest.mark.sanitize
def test_metals_may_differ_between_replicas(backend):
    system = get_system("Gupta-Ag4Au3")
    where = jnp.asarray(starts(system, 1)[0])
    species = jnp.array([[0] * 7, [1] * 7, [0, 1, 0, 1, 0, 1, 0], [1, 0] * 3 + [1]])

    one = system.potential.energy_and_gradient
    compute = jax.jit(jax.vmap(lambda kinds: one(where, kinds, None)))
    mine, formulas = by_both(backend, lambda: compute(species))
    for found in mine.values():
        assert len(set(found[0].tolist())) == 4
        for a, b in zip(found, formulas, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-5)


@needs_kernels
@pytest.mark.parametrize("name", ["LJ-4", "Gupta-Ag2Au2", "SW-Si64"])
def test_derivatives(backend, name):
    with jax.enable_x64(True):
        system = get_system(name)
        where = starts(system, 1)[0]
        along = np.cos(np.arange(where.size)).reshape(where.shape)

        def energy(positions):
            return system.energy_and_gradient(positions)[0]

        compute = jax.jit(lambda x: jax.jvp(jax.grad(energy), (x,), (along,)))
        mine, formulas = by_both(backend, lambda: compute(where))
        _, gradient = jax.jit(lambda x: system.energy_and_gradient(x))(where)
        for found in mine.values():
            np.testing.assert_allclose(found[0], gradient, rtol=1e-10, atol=1e-10)
            np.testing.assert_allclose(found[1], formulas[1], rtol=1e-9, atol=1e-9)
