"""Kernels of potentials in C++."""

from __future__ import annotations

import abc
from typing import Any

import jax
import numpy as np

from hopgym import native
from hopgym.potentials.base import (
    POSITION_LIMIT,
    AbstractPotential,
    Box,
    Energy,
    Positions,
    Species,
)


class PotentialWithKernel(AbstractPotential):
    """A potential that a kernel can compute where there is one, as well as formulas."""

    @property
    def has_kernel(self) -> bool:
        """Whether the kernel is for a potential with these parameters."""
        return True

    @abc.abstractmethod
    def _by_kernel(
        self, positions: Positions, species: Species, box: Box | None
    ) -> tuple[Energy, Positions]:
        """Energy and gradient by [`energy_and_gradient`][] of this module."""

    @abc.abstractmethod
    def _by_formulas(
        self, positions: Positions, species: Species, box: Box | None
    ) -> tuple[Energy, Positions]:
        """The same in JAX."""

    def energy_and_gradient(
        self, positions: Positions, species: Species, box: Box | None
    ) -> tuple[Energy, Positions]:
        if not self.has_kernel:
            return self._by_formulas(positions, species, box)
        own = type(self)
        return native.either(
            own._by_kernel, own._by_formulas, self, positions, species, box
        )


def energy_and_gradient(
    target: str, positions: Positions, *operands: Any, **constants: float
) -> tuple[Energy, Positions]:
    """Energy and gradient of a potential.

    **Arguments:**

    - `target`: name of the kernel.
    - `positions`: in the potential's length unit.
    - `operands`: the arrays that the kernel takes, in its order.
    - `constants`: the numbers that it takes.
    """
    dtype = positions.dtype
    results = (
        jax.ShapeDtypeStruct((), dtype),
        jax.ShapeDtypeStruct(positions.shape, dtype),
    )
    constants = {"position_limit": POSITION_LIMIT, **constants}
    energy, gradient = native.call(
        target,
        results,
        positions,
        *operands,
        **{name: np.float64(value) for name, value in constants.items()},
    )
    return energy, gradient
