"""Potentials, structures and compiled evaluations for the tests of potentials."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import hopgym
from hopgym.potentials import LennardJones, Morse, SoftSphere, StillingerWeber

EDGE = 10.856

# One small case of every potential: constructor, species, box, typical spacing.
CASES = {
    "lennard-jones": (LennardJones, [0] * 7, None, 1.0),
    "morse": (lambda: Morse(6.0), [0] * 7, None, 1.0),
    "gupta": (
        lambda: hopgym.get_system("Gupta-Ag3Au4").potential,
        [0, 0, 0, 1, 1, 1, 1],
        None,
        2.9,
    ),
    "soft-sphere": (SoftSphere, [0] * 7, None, 0.8),
    "soft-sphere in a box": (SoftSphere, [0] * 7, [2.5, 2.6, 2.7], 0.8),
    "stillinger-weber": (StillingerWeber, [0] * 7, [EDGE] * 3, 2.4),
    "stillinger-weber with images": (
        lambda: StillingerWeber(images=1),
        [0] * 7,
        [5.4, 5.5, 5.6],
        2.0,
    ),
}


@functools.cache
def _case(name, x64):
    make, species, box, spacing = CASES[name]
    potential = make()
    species = jnp.asarray(species, jnp.int32)
    box = None if box is None else jnp.asarray(box, float)

    @jax.jit
    def evaluate(positions, species=species, box=box):
        energy, gradient = potential.energy_and_gradient(positions, species, box)
        atoms = potential.atom_energies(positions, species, box)
        by_jax = jax.grad(lambda x: potential.energy_and_gradient(x, species, box)[0])(
            positions
        )
        return energy, gradient, atoms, by_jax

    return evaluate, species, box, spacing


def case(name):
    """Compiled evaluation, species, box and spacing in the current precision."""
    return _case(name, jnp.result_type(float) == jnp.float64)


def scattered(atoms, spacing, seed=0, noise=0.1):
    """Atoms of a cubic lattice with normally distributed displacements."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(atoms ** (1 / 3)))
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3), -1).reshape(-1, 3)[:atoms]
    return spacing * (grid + noise * rng.normal(size=(atoms, 3)))


def gupta_terms(a, xi, p, q, d0, positions):
    """Distances, repulsion and density of all pairs, written down once more.

    Parameters have an entry for each pair of atoms.
    """
    apart = np.linalg.norm(positions[:, None] - positions, axis=-1)
    r = apart + np.eye(len(positions))
    off = ~np.eye(len(positions), dtype=bool)
    repulsion = off * a * np.exp(-p * (r / d0 - 1))
    return r, repulsion, off * xi**2 * np.exp(-2 * q * (r / d0 - 1))
