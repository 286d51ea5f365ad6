"""Energies in double precision, with the potentials written down once more in NumPy.

They confirm energies below the lowest known ones, independently of the JAX code and the
kernels. Distances are not softened: overlapping atoms have enormous energies.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from hopgym.potentials import Gupta, LennardJones, Morse, StillingerWeber
from hopgym.systems import System


def compute_energy(system: System, positions: np.ndarray) -> float:
    """Energy of a structure of shape `(atoms, 3)`.

    **Raises:** `ValueError` for a potential that is not written down here.
    """
    potential = system.potential
    formula = FORMULAS.get(type(potential))
    if formula is None:
        raise ValueError(f"no second formula for {type(potential).__name__}")
    box = None if system.box is None else np.asarray(system.box, float)
    species = np.asarray(system.species)
    return float(formula(potential, np.asarray(positions, float), species, box))


def _measure_distances(positions: np.ndarray) -> np.ndarray:
    """Distances of all pairs, each once."""
    first, second = np.triu_indices(len(positions), 1)
    return np.linalg.norm(positions[first] - positions[second], axis=1)


def _lennard_jones(potential: Any, positions: np.ndarray, species: Any, box: Any):
    sixth = (float(potential.d0) / _measure_distances(positions)) ** 6
    return float(potential.epsilon) * np.sum(sixth**2 - 2 * sixth)


def _morse(potential: Any, positions: np.ndarray, species: Any, box: Any):
    ratio = _measure_distances(positions) / float(potential.d0)
    bond = np.exp(float(potential.rho) * (1 - ratio))
    return float(potential.epsilon) * np.sum(bond * (bond - 2))


def _gupta(potential: Any, positions: np.ndarray, species: np.ndarray, box: Any):
    tables = (potential.a, potential.xi, potential.p, potential.q, potential.d0)
    total = 0.0
    for i, kind in enumerate(species):
        repulsion = density = 0.0
        for j, other in enumerate(species):
            if i != j:
                a, xi, p, q, d0 = (float(table[kind, other]) for table in tables)
                stretch = np.linalg.norm(positions[i] - positions[j]) / d0 - 1
                repulsion += a * np.exp(-p * stretch)
                density += xi**2 * np.exp(-2 * q * stretch)
        total += repulsion - np.sqrt(density)
    return total


def _stillinger_weber(potential: Any, positions: np.ndarray, species: Any, box: Any):
    constants = ("a", "big_a", "big_b", "epsilon", "sigma", "strength", "gamma")
    a, big_a, big_b, epsilon, sigma, strength, gamma = (
        float(getattr(potential, name)) for name in constants
    )
    span = range(-potential.images, potential.images + 1)
    shifts = [box * np.array(image) for image in itertools.product(span, repeat=3)]
    total = 0.0
    for i, position in enumerate(positions):
        bonds = []
        for j, other in enumerate(positions):
            apart = other - position
            apart = apart - box * np.round(apart / box)
            bonds += [apart + shift for shift in shifts if i != j or np.any(shift != 0)]
        lengths = np.linalg.norm(bonds, axis=1) / sigma
        near = lengths < a
        r = lengths[near]
        vectors = np.array(bonds)[near] / (sigma * r[:, None])
        pair = big_a * (big_b / r**4 - 1) * np.exp(1 / (r - a))
        total += epsilon * np.sum(pair) / 2
        reach = np.exp(gamma / (r - a))
        for one, two in itertools.combinations(range(len(r)), 2):
            cosine = vectors[one] @ vectors[two]
            bend = reach[one] * reach[two] * (cosine + 1 / 3) ** 2
            total += strength * epsilon * bend
    return total


FORMULAS: dict[type, Callable[..., Any]] = {
    LennardJones: _lennard_jones,
    Morse: _morse,
    Gupta: _gupta,
    StillingerWeber: _stillinger_weber,
}
