"""Kernels of potentials in C++."""

from __future__ import annotations

import abc
from typing import NamedTuple

import jax
from jaxtyping import Array, Float

from hopgym import native
from hopgym.potentials.base import (
    POSITION_LIMIT,
    AbstractPotential,
    Box,
    Energy,
    Positions,
    Species,
)


class Kernel(NamedTuple):
    """Which kernel computes a potential.

    **Arguments:**

    - `target`: its name.
    - `operands`: the arrays that it takes beside the positions, by name.
    - `attributes`: the numbers that it takes beside the position limit, by name.
    """

    target: str
    operands: dict[str, Array]
    attributes: dict[str, float | int]

    def __call__(
        self, results: dict[str, jax.ShapeDtypeStruct], positions: Positions
    ) -> dict[str, Array]:
        """The results asked for: energy and gradient, or energies of atoms."""
        operands = {"positions": positions, **self.operands}
        attributes = {"position_limit": POSITION_LIMIT, **self.attributes}
        return native.call(self.target, results, operands, attributes)


class PotentialWithKernel(AbstractPotential):
    """A potential that a kernel can compute where there is one, as well as formulas."""

    def has_kernel(self, atoms: int) -> bool:
        """Whether the kernel is for a potential with these parameters."""
        return True

    @abc.abstractmethod
    def _kernel(self, species: Species, box: Box | None) -> Kernel:
        """The kernel and its operands."""

    @abc.abstractmethod
    def _by_formulas(
        self, positions: Positions, species: Species, box: Box | None
    ) -> tuple[Energy, Positions]:
        """Energy and gradient in JAX."""

    @abc.abstractmethod
    def _atoms_by_formulas(
        self, positions: Positions, species: Species, box: Box | None
    ) -> Float[Array, " atoms"]:
        """Energies of atoms in JAX."""

    def _by_kernel(
        self, positions: Positions, species: Species, box: Box | None
    ) -> tuple[Energy, Positions]:
        dtype = positions.dtype
        energy = jax.ShapeDtypeStruct((), dtype)
        gradient = jax.ShapeDtypeStruct(positions.shape, dtype)
        results = {"energy": energy, "gradient": gradient}
        found = self._kernel(species, box)(results, positions)
        return found["energy"], found["gradient"]

    def _atoms_by_kernel(
        self, positions: Positions, species: Species, box: Box | None
    ) -> Float[Array, " atoms"]:
        energies = jax.ShapeDtypeStruct(positions.shape[:1], positions.dtype)
        found = self._kernel(species, box)({"atom_energies": energies}, positions)
        return found["atom_energies"]

    def energy_and_gradient(
        self, positions: Positions, species: Species, box: Box | None
    ) -> tuple[Energy, Positions]:
        own, operands = type(self), (self, positions, species, box)
        if not self.has_kernel(len(positions)):
            return own._by_formulas(*operands)
        return native.dispatch(own._by_kernel, own._by_formulas, *operands)

    def atom_energies(
        self, positions: Positions, species: Species, box: Box | None
    ) -> Float[Array, " atoms"]:
        own, operands = type(self), (self, positions, species, box)
        if not self.has_kernel(len(positions)):
            return own._atoms_by_formulas(*operands)
        return native.dispatch(own._atoms_by_kernel, own._atoms_by_formulas, *operands)
