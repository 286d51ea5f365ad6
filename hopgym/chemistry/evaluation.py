"""Evaluations of energy and forces by a calculator of ASE."""

from __future__ import annotations

import equinox as eqx
import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed, PropertyNotImplementedError
from jaxtyping import Array, Float


class Evaluation(eqx.Module):
    """A structure, its energy and its gradient."""

    positions: Float[Array | np.ndarray, "atoms 3"]
    energy: Float[Array | np.ndarray, ""]
    gradient: Float[Array | np.ndarray, "atoms 3"]

    @property
    def largest_force(self) -> float:
        """Largest force on an atom."""
        return float(np.linalg.norm(self.gradient, axis=1).max())


def evaluate(atoms: Atoms) -> Evaluation:
    """The structure that the atoms have now, by their calculator.

    **Raises:** `CalculationFailed` for energies or forces that are not finite; what
    the calculator raises.
    """
    try:
        energy = atoms.get_potential_energy(force_consistent=True)
    except PropertyNotImplementedError:
        energy = atoms.get_potential_energy()
    gradient = -atoms.get_forces()
    if not (np.isfinite(energy) and np.all(np.isfinite(gradient))):
        raise CalculationFailed("the calculator's energy or forces are not finite")
    return Evaluation(atoms.get_positions(), np.asarray(energy, float), gradient)
