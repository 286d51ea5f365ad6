"""Potentials with a C++ kernel in addition to the JAX implementation."""

from __future__ import annotations

import abc
from typing import NamedTuple

import jax
from jaxtyping import Array

from hopgym import native
from hopgym.potentials.base import (
    POSITION_LIMIT,
    AbstractPotential,
    AtomEnergies,
    Box,
    Energy,
    Positions,
    Species,
    check_structure,
)


class Kernel(NamedTuple):
    """A kernel with all its arguments except the positions.

    **Arguments:**

    - `target`: name of the kernel.
    - `operands`: arrays other than the positions, by name.
    - `attributes`: numbers other than the position limit, by name.
    """

    target: str
    operands: dict[str, Array]
    attributes: dict[str, float | int]

    def __call__(
        self, results: dict[str, jax.ShapeDtypeStruct], positions: Positions
    ) -> dict[str, Array]:
        """Compute the named results: energy and gradient, or atom energies."""
        operands = {"positions": positions, **self.operands}
        attributes = {"position_limit": POSITION_LIMIT, **self.attributes}
        return native.call(self.target, results, operands, attributes)


class AbstractKernelPotential(AbstractPotential):
    """A potential implemented in JAX and as a C++ kernel.

    [`hopgym.native`][] decides which one is used; derivatives are those of the JAX
    implementation.
    """

    @abc.abstractmethod
    def has_kernel(self, atoms: int) -> bool:
        """Whether the kernel handles these parameters and this number of atoms."""

    @abc.abstractmethod
    def _kernel(self, species: Species, box: Box | None) -> Kernel:
        """The kernel and its operands."""

    @abc.abstractmethod
    def _energy_and_gradient_jax(
        self, positions: Positions, species: Species, box: Box | None
    ) -> tuple[Energy, Positions]:
        """`energy_and_gradient` in JAX."""

    @abc.abstractmethod
    def _atom_energies_jax(
        self, positions: Positions, species: Species, box: Box | None
    ) -> AtomEnergies:
        """`atom_energies` in JAX."""

    def _energy_and_gradient_native(
        self, positions: Positions, species: Species, box: Box | None
    ) -> tuple[Energy, Positions]:
        dtype = positions.dtype
        energy = jax.ShapeDtypeStruct((), dtype)
        gradient = jax.ShapeDtypeStruct(positions.shape, dtype)
        results = {"energy": energy, "gradient": gradient}
        found = self._kernel(species, box)(results, positions)
        return found["energy"], found["gradient"]

    def _atom_energies_native(
        self, positions: Positions, species: Species, box: Box | None
    ) -> AtomEnergies:
        energies = jax.ShapeDtypeStruct(positions.shape[:1], positions.dtype)
        found = self._kernel(species, box)({"atom_energies": energies}, positions)
        return found["atom_energies"]

    def energy_and_gradient(
        self, positions: Positions, species: Species, box: Box | None
    ) -> tuple[Energy, Positions]:
        positions, species, box = check_structure(self, positions, species, box)
        cls, operands = type(self), (self, positions, species, box)
        if not self.has_kernel(len(positions)):
            return cls._energy_and_gradient_jax(*operands)
        return native.dispatch(
            cls._energy_and_gradient_native, cls._energy_and_gradient_jax, *operands
        )

    def atom_energies(
        self, positions: Positions, species: Species, box: Box | None
    ) -> AtomEnergies:
        positions, species, box = check_structure(self, positions, species, box)
        cls, operands = type(self), (self, positions, species, box)
        if not self.has_kernel(len(positions)):
            return cls._atom_energies_jax(*operands)
        return native.dispatch(
            cls._atom_energies_native, cls._atom_energies_jax, *operands
        )
