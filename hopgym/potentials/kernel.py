"""Kernels of potentials in C++."""

from __future__ import annotations

import abc
from typing import Any, NamedTuple

import jax
import numpy as np
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
    - `operands`: the arrays that it takes after the positions, in its order.
    - `constants`: the numbers that it takes, by name: whole ones as `int`.
    """

    target: str
    operands: tuple[Array, ...]
    constants: dict[str, float | int]

    def __call__(self, results: Any, positions: Positions) -> Any:
        """Its results, whose shapes and dtypes say what it computes."""
        constants: dict[str, Any] = {
            name: np.int64(value) if isinstance(value, int) else np.float64(value)
            for name, value in self.constants.items()
        }
        constants["position_limit"] = np.float64(POSITION_LIMIT)
        return native.call(self.target, results, positions, *self.operands, **constants)


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
        of_energy, of_gradient = self._kernel(species, box)(
            (energy, gradient), positions
        )
        return of_energy, of_gradient

    def _atoms_by_kernel(
        self, positions: Positions, species: Species, box: Box | None
    ) -> Float[Array, " atoms"]:
        energies = jax.ShapeDtypeStruct(positions.shape[:1], positions.dtype)
        return self._kernel(species, box)(energies, positions)

    def energy_and_gradient(
        self, positions: Positions, species: Species, box: Box | None
    ) -> tuple[Energy, Positions]:
        own, operands = type(self), (self, positions, species, box)
        if not self.has_kernel(len(positions)):
            return own._by_formulas(*operands)
        return native.either(own._by_kernel, own._by_formulas, *operands)

    def atom_energies(
        self, positions: Positions, species: Species, box: Box | None
    ) -> Float[Array, " atoms"]:
        own, operands = type(self), (self, positions, species, box)
        if not self.has_kernel(len(positions)):
            return own._atoms_by_formulas(*operands)
        return native.either(own._atoms_by_kernel, own._atoms_by_formulas, *operands)
