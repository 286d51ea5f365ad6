"""Potentials with a C++ kernel besides the JAX implementation."""

from __future__ import annotations

import abc
from typing import Any, NamedTuple

import jax
import numpy as np
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
)


class Kernel(NamedTuple):
    """A call of a kernel, up to the positions.

    **Arguments:**

    - `target`: name of the kernel.
    - `operands`: arrays it takes after the positions, in order.
    - `constants`: numbers it takes, by name; integers as `int`.
    """

    target: str
    operands: tuple[Array, ...]
    constants: dict[str, float | int]

    def __call__(self, results: Any, positions: Positions) -> Any:
        """Compute results, whose shapes and dtypes tell the kernel which are wanted."""
        constants: dict[str, Any] = {
            name: np.int64(value) if isinstance(value, int) else np.float64(value)
            for name, value in self.constants.items()
        }
        constants["position_limit"] = np.float64(POSITION_LIMIT)
        return native.call(self.target, results, positions, *self.operands, **constants)


class AbstractKernelPotential(AbstractPotential):
    """A potential implemented in JAX and as a C++ kernel.

    [`hopgym.native`][] decides which one is used; derivatives are those of JAX.
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
        results = (
            jax.ShapeDtypeStruct((), dtype),
            jax.ShapeDtypeStruct(positions.shape, dtype),
        )
        energy, gradient = self._kernel(species, box)(results, positions)
        return energy, gradient

    def _atom_energies_native(
        self, positions: Positions, species: Species, box: Box | None
    ) -> AtomEnergies:
        energies = jax.ShapeDtypeStruct(positions.shape[:1], positions.dtype)
        return self._kernel(species, box)(energies, positions)

    def energy_and_gradient(
        self, positions: Positions, species: Species, box: Box | None
    ) -> tuple[Energy, Positions]:
        cls, operands = type(self), (self, positions, species, box)
        if not self.has_kernel(len(positions)):
            return cls._energy_and_gradient_jax(*operands)
        return native.either(
            cls._energy_and_gradient_native, cls._energy_and_gradient_jax, *operands
        )

    def atom_energies(
        self, positions: Positions, species: Species, box: Box | None
    ) -> AtomEnergies:
        cls, operands = type(self), (self, positions, species, box)
        if not self.has_kernel(len(positions)):
            return cls._atom_energies_jax(*operands)
        return native.either(
            cls._atom_energies_native, cls._atom_energies_jax, *operands
        )
