"""Kernels of potentials in C++."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from hopgym import native
from hopgym.potentials.base import POSITION_LIMIT, Energy, Positions


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
