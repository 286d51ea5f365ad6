"""Kernels of potentials in C++ (native/pairs.inl)."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from hopgym import native
from hopgym.potentials.base import POSITION_LIMIT, Energy, Positions


def pairs(
    target: str, positions: Positions, *parameters: Any
) -> tuple[Energy, Positions]:
    """Energy and gradient of a pair potential.

    **Arguments:**

    - `target`: name of the kernel.
    - `positions`: in the potential's length unit.
    - `parameters`: the arrays that the kernel takes, in its order.
    """
    dtype = positions.dtype
    results = (
        jax.ShapeDtypeStruct((), dtype),
        jax.ShapeDtypeStruct(positions.shape, dtype),
    )
    limit = np.float64(POSITION_LIMIT)
    energy, gradient = native.call(
        target, results, positions, *parameters, position_limit=limit
    )
    return energy, gradient
