"""Clusters and slabs for calculators that know periodic structures only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes


class InVacuum(Calculator):
    """Another calculator, for which structures are periodic along all axes.

    Along axes that are not, the cell is so large that images do not interact.

    **Arguments:**

    - `calculator`: the other one.
    - `cutoff`: of its interactions, in angstrom.
    """

    implemented_properties = ["energy", "free_energy", "forces"]  # noqa: RUF012

    def __init__(self, calculator: Calculator, cutoff: float):
        super().__init__()
        self.calculator = calculator
        self.cutoff = cutoff

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] | None = None,
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Store energy and forces in `results`."""
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None
        boxed = self.atoms.copy()
        boxed.set_constraint()
        open_axes = np.flatnonzero(~boxed.pbc).tolist()
        if open_axes:
            boxed.center(vacuum=self.cutoff, axis=tuple(open_axes))
            boxed.pbc = True
        boxed.calc = self.calculator
        energy = float(boxed.get_potential_energy())
        forces = boxed.get_forces()
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}
