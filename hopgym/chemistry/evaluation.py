"""Energy and gradient from an ASE calculator."""

from __future__ import annotations

import equinox as eqx
import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed, PropertyNotImplementedError
from jaxtyping import Array, Float


class Evaluation(eqx.Module):
    """Positions, energy and gradient of one structure."""

    positions: Float[Array | np.ndarray, "atoms 3"]
    energy: Float[Array | np.ndarray, ""]
    gradient: Float[Array | np.ndarray, "atoms 3"]

    @property
    def largest_force(self) -> float:
        """Largest norm of the force on an atom."""
        return float(np.linalg.norm(self.gradient, axis=1).max())


def evaluate(atoms: Atoms) -> Evaluation:
    """Evaluate the current positions with the atoms' calculator.

    **Raises:** `CalculationFailed` for non-finite energies or forces, or if the
    calculator has changed the atoms; any error of the calculator.
    """
    before = atoms.get_positions(), atoms.get_atomic_numbers()
    try:
        energy = atoms.get_potential_energy(force_consistent=True)
    except PropertyNotImplementedError:
        energy = atoms.get_potential_energy()
    gradient = -atoms.get_forces()
    if not (np.isfinite(energy) and np.all(np.isfinite(gradient))):
        raise CalculationFailed("the calculator's energy or forces are not finite")
    positions = atoms.get_positions()
    if not all(map(np.array_equal, before, (positions, atoms.get_atomic_numbers()))):
        raise CalculationFailed("the calculator has changed the atoms")
    return Evaluation(positions, np.asarray(energy, float), gradient)
