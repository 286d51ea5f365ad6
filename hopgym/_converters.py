"""Converters of fields to arrays, for `equinox.field(converter=...)`."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from hopgym._checks import LARGEST_INT, describe, is_known


def to_float(value: Any) -> Float[Array, "..."]:
    """Convert to an array of the default floating-point precision.

    **Raises:** `ValueError` for anything but real numbers.
    """
    try:
        if not jnp.iscomplexobj(value):
            return jnp.asarray(value, float)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"real numbers are needed, got {describe(value)}")


def to_int(value: Any) -> Int[Array, "..."]:
    """Convert to an array of `int32`.

    **Raises:** `ValueError` for anything but integers of that type.
    """
    if is_known(value) and not _is_whole(value):
        raise ValueError(
            f"integers between {-LARGEST_INT} and {LARGEST_INT} are needed, got "
            f"{describe(value)}"
        )
    return jnp.asarray(value, jnp.int32)


def _is_whole(value: Any) -> bool:
    try:
        numbers = np.asarray(value)
        bounded = np.abs(numbers.astype(float)) <= LARGEST_INT
        return bool(np.all(bounded & (numbers == np.round(numbers.astype(float)))))
    except (TypeError, ValueError, OverflowError):
        return False
