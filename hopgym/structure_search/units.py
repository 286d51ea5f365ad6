"""Units of length and energy of atoms on a calculator, estimated from a structure.

A random start is quenched. Half the atoms of the structure have a nearest neighbour
within 0.94 units of length, as in clusters of metals, where bonds are shorter than in
the crystal. If atoms are displaced at random, by a hundredth of it along each
coordinate, the energy per atom rises by a hundredth of a unit of energy. For clusters
of gold and platinum this agrees to 20 % with the units of the Gupta systems, and for
silicon to a factor of 2 (`tests/test_calculator_search.py`). Lennard-Jones clusters are
stiffer, so that their unit is too large.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from hopgym.structure_search.calculator_walks import CalculatorWalks
from hopgym.structure_search.target import Target

NEAREST = 0.94  # units of length, median of the distances to nearest neighbours
STIFFNESS = 100.0  # units: energy per atom and mean square displacement of a coordinate
DISPLACEMENT = 0.01  # units of length
SAMPLES = 4  # displaced structures


@dataclass(frozen=True)
class Units:
    """Units of a search.

    **Attributes:**

    - `length`, `energy`: in those of the calculator.
    - `evaluations`: spent on the estimate.
    """

    length: float
    energy: float
    evaluations: int = 0


def estimate_units(walks: CalculatorWalks, target: Target, seed: int) -> Units:
    """Estimate the units by the rule above.

    **Arguments:**

    - `walks`: walks of one start, in preliminary units.
    - `target`: what is searched.
    - `seed`: random seed.

    **Raises:** `ValueError` if the start cannot be quenched, or has no stiffness.
    """
    start = walks.starts[:1]
    refined = walks.refine(start)
    quenched = refined.structures
    if walks.last_failure:
        raise ValueError(
            f"the first structure cannot be evaluated: {walks.last_failure}"
        )
    if not quenched.converged[0]:
        raise ValueError(
            "the units of the calculator cannot be estimated, since a random start "
            "could not be quenched: give --length and --energy, or another --seed"
        )
    positions = np.asarray(quenched.positions[0])
    length = _measure_length(target, positions)
    noise = np.random.default_rng(seed).normal(size=(SAMPLES, *positions.shape))
    noise[:, ~target.own] = 0
    energies = walks.evaluate(positions + DISPLACEMENT * length * noise)
    rise = float(np.median(energies)) - float(quenched.energy[0])
    moved = int(np.sum(target.own))
    energy = rise / (moved * STIFFNESS * DISPLACEMENT**2)
    if not (np.isfinite(energy) and energy > 0):
        raise ValueError(
            "the units of the calculator cannot be estimated: displacements from a "
            f"minimum change its energy by {rise:g}: give --length and --energy"
        )
    return Units(length, energy, refined.evaluations + SAMPLES)


def _measure_length(target: Target, positions: Float[np.ndarray, "atoms 3"]) -> float:
    atoms = target.template.copy()
    atoms.set_positions(positions, apply_constraint=False)
    distances = atoms.get_all_distances(mic=True)
    np.fill_diagonal(distances, np.inf)
    return float(np.median(distances[target.own].min(axis=1))) / NEAREST
