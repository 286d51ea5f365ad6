"""What optimizers are told about atoms of any calculator."""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from jaxtyping import Array, Float, Int

from hopgym.chemistry.calculator import HopgymCalculator
from hopgym.chemistry.convert import box_of, checked_positions
from hopgym.context import Context
from hopgym.rendering import RADII

METAL = 0.5  # eV: cohesive energies of 3 to 4.5 eV an atom over about 8 epsilon


@dataclass(frozen=True)
class AseContext:
    """What of a `hopgym.System` optimizers may ask for when they are made."""

    name: str
    species: Int[Array, " atoms"]
    box: Float[Array, "3"] | None
    length: Float[Array, ""]
    energy_unit: Float[Array, ""]

    @property
    def atoms(self) -> int:
        """Number of atoms."""
        return len(self.species)

    @property
    def context(self) -> Context:
        """What optimizers are told in every step."""
        return Context(
            species=self.species,
            box=self.box,
            length=self.length,
            energy_unit=self.energy_unit,
        )


def describe_atoms(
    atoms: Atoms, length: float | int | None = None, energy: float | int | None = None
) -> AseContext:
    """What is known about atoms, with defaults for the units that are not given.

    **Raises:** `TypeError` if `atoms` is not `ase.Atoms`; `ValueError` for fewer than
    two atoms, positions that are not finite, boundaries that are neither free nor
    periodic and orthorhombic, or units that are not positive.
    """
    if not isinstance(atoms, Atoms):
        raise TypeError(f"atoms must be ase.Atoms, got {type(atoms).__name__}")
    checked_positions(atoms)
    box = box_of(atoms)
    symbols = atoms.get_chemical_symbols()
    known = atoms.calc.system if isinstance(atoms.calc, HopgymCalculator) else None
    if known is not None:
        usual = float(known.length), float(known.energy_unit)
    elif "X" in symbols:
        usual = 1.0, 1.0
    else:
        usual = _neighbours(symbols), METAL
    length = usual[0] if length is None else length
    energy = usual[1] if energy is None else energy
    for what, value in (("length", length), ("energy", energy)):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{what} must be positive, got {value}")
    kinds = sorted(set(symbols))
    with jax.enable_x64(True):
        return AseContext(
            name=atoms.get_chemical_formula() if known is None else known.name,
            species=jnp.asarray([kinds.index(symbol) for symbol in symbols], jnp.int32),
            box=None if box is None else jnp.asarray(box),
            length=jnp.asarray(length, float),
            energy_unit=jnp.asarray(energy, float),
        )


def _neighbours(symbols: list[str]) -> float:
    """Mean distance of nearest neighbours in crystals of the elements."""
    radii = [
        RADII.get(symbol, float(covalent_radii[atomic_numbers[symbol]]))
        for symbol in symbols
    ]
    return 2 * float(np.mean(radii))
