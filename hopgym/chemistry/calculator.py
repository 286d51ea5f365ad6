"""ASE calculator for the potentials of hopgym."""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from hopgym.chemistry.convert import get_box, get_positions
from hopgym.chemistry.precision import to_float64
from hopgym.systems import System


class HopgymCalculator(Calculator):
    """Energy and forces of a system's potential, in double precision.

    ```python
    atoms = ase.cluster.Icosahedron("Au", 3)
    system, _ = hopgym.chemistry.from_ase(atoms, "gupta")
    atoms.calc = hopgym.chemistry.HopgymCalculator(system)
    ```

    The number of atoms, the composition and the cell may differ from the system's. All
    elements must be among those of the system; a system in reduced units accepts any.

    **Arguments:**

    - `system`: system that provides the potential and its elements.

    **Raises:** `ValueError`, when energies are computed, for other elements, fewer than
    two atoms, non-finite positions, or boundaries that do not fit the potential.
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces"]  # noqa: RUF012

    def __init__(self, system: System):
        super().__init__()
        self.system = system
        self._potential = to_float64(system.potential)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] | None = None,
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Store energy and forces in `results`; atom energies only on request."""
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None
        positions = get_positions(self.atoms)
        box = get_box(self.atoms)
        species = self._get_species(self.atoms.get_chemical_symbols())
        with jax.enable_x64(True):
            edges = None if box is None else jnp.asarray(box)
            self._potential.check_box(edges)
            arguments = (self._potential, jnp.asarray(positions), species, edges)
            energy, gradient = _energy_and_gradient(*arguments)
            self.results = {
                "energy": float(energy),
                "free_energy": float(energy),
                "forces": -np.asarray(gradient),
            }
            if "energies" in (properties or ()):
                self.results["energies"] = np.asarray(_atom_energies(*arguments))

    def _get_species(self, symbols: list[str]) -> np.ndarray:
        elements = self.system.elements
        if elements == ("X",):
            return np.zeros(len(symbols), np.int32)
        unknown = sorted(set(symbols) - set(elements))
        if unknown:
            raise ValueError(
                f"{self.system.name} has no parameters for {', '.join(unknown)}, only "
                f"for {', '.join(elements)}"
            )
        return np.array([elements.index(symbol) for symbol in symbols], np.int32)


@eqx.filter_jit
def _energy_and_gradient(potential, positions, species, box):
    return potential.energy_and_gradient(positions, species, box)


@eqx.filter_jit
def _atom_energies(potential, positions, species, box):
    return potential.atom_energies(positions, species, box)
