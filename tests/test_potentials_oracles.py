"""Potentials against jax-md, naive sums and published energies."""

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from potential_cases import EDGE, case, gupta_terms, scattered
from scipy.optimize import minimize

import hopgym
from hopgym import structures
from hopgym.potentials import SoftSphere

pytestmark = pytest.mark.optimised


@functools.cache
def jax_md():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from jax_md import energy, smap, space
    return energy, smap, space


def assert_same_surface(system_function, oracle, positions, rtol):
    positions = jnp.asarray(positions)
    energy, gradient = jax.jit(lambda x: system_function(x))(positions)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected, slope = jax.jit(jax.value_and_grad(oracle))(positions)
    np.testing.assert_allclose(energy, expected, rtol=rtol)
    np.testing.assert_allclose(
        gradient, slope, rtol=0, atol=rtol * float(jnp.abs(slope).max())
    )


# --- against jax-md -----------------------------------------------------------------


@pytest.mark.parametrize("atoms", [2, 13, 16])
def test_lennard_jones_is_that_of_jax_md(x64, atoms):
    energy, smap, space = jax_md()
    displacement, _ = space.free()
    oracle = smap.pair(
        energy.lennard_jones, space.metric(displacement), sigma=2 ** (-1 / 6)
    )
    system = hopgym.get_system(f"LJ-{atoms}")
    assert_same_surface(
        system.energy_and_gradient, oracle, scattered(atoms, 1.1), 1e-10
    )


def test_gupta_is_that_of_jax_md(x64):
    energy, _, space = jax_md()
    displacement, _ = space.free()
    oracle = energy.gupta_gold55(displacement, cutoff=1e3)
    system = hopgym.get_system("Gupta-Au13")
    assert_same_surface(system.energy_and_gradient, oracle, scattered(13, 2.9), 1e-10)


@pytest.mark.parametrize("box", [None, [2.5, 2.5, 2.5]])
def test_soft_sphere_is_that_of_jax_md(x64, box):
    energy, _, space = jax_md()
    displacement, _ = space.free() if box is None else space.periodic(np.array(box))
    oracle = energy.soft_sphere_pair(displacement)
    species = jnp.zeros(10, jnp.int32)
    edges = None if box is None else jnp.asarray(box)
    assert_same_surface(
        lambda x: SoftSphere().energy_and_gradient(x, species, edges),
        oracle,
        scattered(10, 0.8),
        1e-10,
    )


def test_stillinger_weber_is_that_of_jax_md(x64):
    energy, _, space = jax_md()
    displacement, _ = space.periodic(EDGE)
    oracle = energy.stillinger_weber(displacement)
    system = hopgym.get_system("SW-Si64")
    positions = structures.diamond(2, 5.428) + 0.15 * np.random.default_rng(0).normal(
        size=(64, 3)
    )
    assert_same_surface(system.energy_and_gradient, oracle, positions, 1e-6)


def test_hole_in_jax_md_that_is_not_here():
    """In float32 jax-md's Lennard-Jones forgets atoms that overlap."""
    energy, smap, space = jax_md()
    displacement, _ = space.free()
    oracle = smap.pair(
        energy.lennard_jones,
        space.metric(displacement),
        sigma=np.float32(2 ** (-1 / 6)),
    )
    system = hopgym.get_system("LJ-2")
    close = jnp.array([[0.0, 0, 0], [1e-4, 0, 0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, hole = jax.value_and_grad(oracle)(close)
        together = oracle(0 * close)
    assert float(jnp.abs(hole).max()) == 0
    assert float(together) == 0

    value, gradient = system.energy_and_gradient(close)
    assert float(value) > 1e12
    assert float(gradient[0, 0]) > 1e9
    assert float(system.energy_and_gradient(0 * close)[0]) >= float(value)


# --- against own, naive sums --------------------------------------------------------


def naive_stillinger_weber(positions, box):
    """Energy of every atom by the printed sums over pairs and triples."""
    a, big_a, big_b, epsilon, sigma = 1.8, 7.049556277, 0.6022245584, 2.16826, 2.0951
    strength, gamma = 21.0, 1.2
    energies = np.zeros(len(positions))
    for i, centre in enumerate(positions):
        vectors = np.delete(positions, i, 0) - centre
        vectors -= box * np.round(vectors / box)
        distances = np.linalg.norm(vectors, axis=1)
        near = distances < a * sigma
        vectors, distances = vectors[near], distances[near]
        tails = np.exp(sigma / (distances - a * sigma))
        pairs = big_a * epsilon * (big_b * (sigma / distances) ** 4 - 1) * tails
        energies[i] += pairs.sum() / 2
        for j in range(len(distances)):
            for k in range(j):
                cosine = vectors[j] @ vectors[k] / distances[j] / distances[k]
                energies[i] += (
                    strength
                    * epsilon
                    * (cosine + 1 / 3) ** 2
                    * np.exp(gamma * sigma / (distances[j] - a * sigma))
                    * np.exp(gamma * sigma / (distances[k] - a * sigma))
                )
    return energies


@pytest.mark.parametrize("noise", [0.1, 0.3])
def test_stillinger_weber_is_the_sum_over_triples(x64, noise):
    evaluate, _, box, spacing = case("stillinger-weber")
    positions = scattered(7, spacing, noise=noise)
    expected = naive_stillinger_weber(positions, np.asarray(box))
    energy, _, atoms, _ = evaluate(jnp.asarray(positions))
    np.testing.assert_allclose(atoms, expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(energy, expected.sum(), rtol=1e-10)


def test_eight_silicon_atoms_are_an_eighth_of_their_replica(x64):
    small, large = hopgym.get_system("SW-Si8"), hopgym.get_system("SW-Si64")
    assert small.box is not None
    edge = float(small.box[0])
    cell = structures.diamond(1, edge) + 0.2 * np.random.default_rng(1).normal(
        size=(8, 3)
    )
    shifts = edge * np.array(
        [(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    )
    replica = (shifts[:, None] + np.asarray(cell)).reshape(-1, 3)
    energy, gradient = small.energy_and_gradient(cell)
    expected, slopes = large.energy_and_gradient(jnp.asarray(replica))
    np.testing.assert_allclose(8 * energy, expected, rtol=1e-12)
    for block in slopes.reshape(8, 8, 3):
        np.testing.assert_allclose(gradient, block, atol=1e-10)


def test_gupta_alloy_is_the_sum_over_pairs(x64):
    evaluate, species, _, spacing = case("gupta")
    potential = hopgym.get_system("Gupta-Ag3Au4").potential
    positions = scattered(7, spacing)
    kinds = np.asarray(species)
    a, xi, p, q, d0 = (
        np.asarray(getattr(potential, name))[kinds[:, None], kinds]
        for name in ("a", "xi", "p", "q", "d0")
    )
    _, repulsion, density = gupta_terms(a, xi, p, q, d0, positions)
    expected = repulsion.sum(1) - np.sqrt(density.sum(1))
    _, _, atoms, _ = evaluate(jnp.asarray(positions))
    np.testing.assert_allclose(atoms, expected, rtol=1e-12)


# --- energies of known structures ---------------------------------------------------


def relaxed_energy(system, positions):
    """Energy after L-BFGS from an ideal structure."""
    evaluate = jax.jit(lambda x: system.energy_and_gradient(x))

    def flat(x):
        energy, gradient = evaluate(jnp.asarray(x.reshape(-1, 3)))
        return float(energy), np.asarray(gradient, float).ravel()

    start = np.asarray(positions * system.length, float).ravel()
    options = {"maxiter": 2000, "gtol": 1e-8, "ftol": 1e-15}
    return minimize(flat, start, jac=True, method="L-BFGS-B", options=options).fun


@pytest.mark.parametrize(
    ("name", "points", "expected", "tolerance"),
    [
        ("LJ-13", structures.icosahedron(1), -44.326801, 1e-6),
        ("LJ-38", structures.truncated_octahedron(), -173.928427, 1e-6),
        ("LJ-55", structures.icosahedron(2), -279.248470, 1e-6),
        ("LJ-75", structures.decahedron(), -397.492331, 1e-6),
        ("Morse14-38", structures.truncated_octahedron(), -144.321054, 1e-6),
        ("Gupta-Au55", structures.icosahedron(2), -181.4067, 1e-4),
        ("Gupta-Au55-table4", structures.icosahedron(2), -190.7274, 1e-4),
    ],
)
def test_energies_of_relaxed_structures(x64, name, points, expected, tolerance):
    system = hopgym.get_system(name)
    assert abs(relaxed_energy(system, points) - expected) < tolerance
    if name.startswith("LJ"):
        assert abs(float(system.reference) - expected) < tolerance


@pytest.mark.parametrize("name", ["Gupta-Ag38Au0", "Gupta-Ag0Pt38", "Gupta-Pd38Pt0"])
def test_truncated_octahedra_of_pure_metals(x64, name):
    system = hopgym.get_system(name)
    energy = relaxed_energy(system, structures.truncated_octahedron())
    assert abs(energy - float(system.reference)) < 1e-4


@pytest.mark.parametrize("rho", [6, 14])
@pytest.mark.parametrize("atoms", [5, 6, 7])
def test_small_morse_clusters(x64, rho, atoms):
    """Bipyramids: a ring of atoms between two more."""
    system = hopgym.get_system(f"Morse{rho}-{atoms}")
    angles = 2 * np.pi * np.arange(atoms - 2) / (atoms - 2)
    ring = 0.5 / np.sin(np.pi / (atoms - 2))
    points = np.zeros((atoms, 3))
    points[2:, :2] = ring * np.stack([np.cos(angles), np.sin(angles)], 1)
    points[:2, 2] = (1 - ring**2) ** 0.5 * np.array([1, -1])
    energy = relaxed_energy(system, jnp.asarray(points))
    assert abs(energy - float(system.reference)) < 1e-4


def test_energy_of_diamond(x64):
    energy, gradient = hopgym.get_system("SW-Si64").energy_and_gradient(
        structures.diamond(2, 5.428)
    )
    np.testing.assert_allclose(energy, -277.536201969, rtol=1e-10)
    np.testing.assert_allclose(gradient, 0, atol=1e-12)
