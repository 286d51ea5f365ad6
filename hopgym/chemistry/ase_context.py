"""Species, cell, constraints and units of `ase.Atoms`, for optimizers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from jaxtyping import Array, Float, Int

from hopgym.cell import Cell
from hopgym.chemistry.calculator import HopgymCalculator
from hopgym.chemistry.constraints import count_directions
from hopgym.chemistry.convert import get_cell, get_positions
from hopgym.context import Context
from hopgym.rendering import RADII

# Default unit of energy in eV: the cohesive energy of metals, 3 to 4.5 eV per atom,
# divided by that of a Lennard-Jones crystal, about 8 epsilon per atom.
ENERGY_UNIT = 0.5


@dataclass(frozen=True)
class AseContext:
    """What optimizers and their factories know about `ase.Atoms`.

    Implements [`hopgym.context.SystemInfo`][].

    **Attributes:**

    - `name`: name of the calculator's system; for other calculators the formula.
    - `symbols`: chemical symbol of each atom.
    - `species`: `Int[Array, "atoms"]`, index into the sorted chemical symbols.
    - `box`: edges of the periodic box, a cell, or `None` in free space.
    - `freedom`: number of directions in which each atom may move, or `None`.
    - `length`, `energy_unit`: units of length and energy.
    """

    name: str
    symbols: tuple[str, ...]
    species: Int[Array, " atoms"]
    box: Float[Array, "3"] | Cell | None
    freedom: Int[Array, " atoms"] | None
    length: Float[Array, ""]
    energy_unit: Float[Array, ""]

    @property
    def atoms(self) -> int:
        """Number of atoms."""
        return len(self.species)

    @property
    def context(self) -> Context:
        """The context of the optimizer's `init` and `update`."""
        return Context(
            species=self.species,
            box=self.box,
            length=self.length,
            energy_unit=self.energy_unit,
            freedom=self.freedom,
        )


def describe_atoms(
    atoms: Atoms, length: float | int | None = None, energy: float | int | None = None
) -> AseContext:
    """Describe atoms for an optimizer.

    **Arguments:**

    - `atoms`: `ase.Atoms`.
    - `length`, `energy`: units of length and energy. Defaults: those of the system of
      a [`hopgym.chemistry.HopgymCalculator`][]; 1 for atoms `"X"`; otherwise the mean
      nearest-neighbour distance in crystals of the elements, and `ENERGY_UNIT`.

    **Raises:** `TypeError` if `atoms` is not `ase.Atoms`; `ValueError` for fewer than
    two atoms, non-finite positions, cell vectors that do not span the directions along
    which boundaries are periodic, or units that are not positive.
    """
    if not isinstance(atoms, Atoms):
        raise TypeError(f"atoms must be ase.Atoms, got {type(atoms).__name__}")
    get_positions(atoms)
    box = get_cell(atoms)
    freedom = count_directions(atoms)
    symbols = atoms.get_chemical_symbols()
    known = atoms.calc.system if isinstance(atoms.calc, HopgymCalculator) else None
    if known is not None:
        defaults = float(known.length), float(known.energy_unit)
    elif "X" in symbols:
        defaults = 1.0, 1.0
    else:
        defaults = _estimate_neighbour_distance(symbols), ENERGY_UNIT
    length = defaults[0] if length is None else length
    energy = defaults[1] if energy is None else energy
    for what, value in (("length", length), ("energy", energy)):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{what} must be positive, got {value}")
    kinds = sorted(set(symbols))
    with jax.enable_x64(True):
        return AseContext(
            name=atoms.get_chemical_formula() if known is None else known.name,
            symbols=tuple(symbols),
            species=jnp.asarray([kinds.index(symbol) for symbol in symbols], jnp.int32),
            box=jax.tree.map(jnp.asarray, box),
            freedom=jax.tree.map(jnp.asarray, freedom),
            length=jnp.asarray(length, float),
            energy_unit=jnp.asarray(energy, float),
        )


def _estimate_neighbour_distance(symbols: list[str]) -> float:
    """Mean nearest-neighbour distance in crystals of the elements, in angstrom."""
    radii = [
        RADII.get(symbol, float(covalent_radii[atomic_numbers[symbol]]))
        for symbol in symbols
    ]
    return 2 * float(np.mean(radii))
