"""Potentials by kernels in C++ where they are in use, else by their formulas."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np

from hopgym import native
from hopgym.potentials.base import POSITION_LIMIT, Box, Energy, Positions, Species


def energy_and_gradient(
    target: str,
    parameters: tuple[str, ...],
    potential: Any,
    positions: Positions,
    species: Species,
    box: Box | None,
) -> tuple[Energy, Positions]:
    """Energy and gradient of a potential that a kernel knows.

    **Arguments:**

    - `target`: name of the kernel.
    - `parameters`: names of the fields of the potential that it takes.
    - `potential`: has its formulas in `_formulas`.
    - the others: as in its `energy_and_gradient`.
    """
    if native.backend() == "native":
        return _by_kernel(target, parameters, potential, positions, species, box)
    return potential._formulas(positions, species, box)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _by_kernel(target, parameters, potential, positions, species, box):
    dtype = positions.dtype
    results = (
        jax.ShapeDtypeStruct((), dtype),
        jax.ShapeDtypeStruct(positions.shape, dtype),
    )
    return tuple(
        native.call(
            target,
            results,
            positions,
            *(getattr(potential, name) for name in parameters),
            position_limit=np.float64(POSITION_LIMIT),
        )
    )


@_by_kernel.defjvp
def _by_kernel_jvp(target, parameters, primals, tangents):
    def formulas(potential, *where):
        return potential._formulas(*where)

    return jax.jvp(formulas, primals, tangents)
