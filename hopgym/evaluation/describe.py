"""Descriptions of optimizers and systems: all settings, as reproducible plain data."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import re
import types
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

MAX_ENTRIES = 16  # arrays with more entries are described by a hash
MAX_DEPTH = 12  # closures may contain themselves


def describe(value: Any, depth: int = 0) -> Any:
    """Describe a value as plain JSON data.

    Numbers are kept; objects are described by type and fields, functions by name and
    the values they close over.
    """
    inside = functools.partial(describe, depth=depth + 1)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such number
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if depth > MAX_DEPTH:
        return "..."
    if eqx.is_array(value) or isinstance(value, np.ndarray | np.generic):
        return _describe_array(value)
    if isinstance(value, dict):
        return {str(name): inside(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [inside(entry) for entry in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        fields = {name: inside(getattr(value, name, None)) for name in names}
        return {"type": type(value).__qualname__, **fields}
    if isinstance(value, functools.partial):
        return {
            "function": inside(value.func),
            "with": inside([*value.args, value.keywords]),
        }
    if isinstance(value, types.FunctionType):
        cells = [inside(cell.cell_contents) for cell in value.__closure__ or ()]
        name = value.__qualname__
        return {"function": name, "with": cells} if cells else {"function": name}
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def digest(value: Any) -> str:
    """Short hash of a description."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _describe_array(array: Any) -> Any:
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        array = jax.random.key_data(array)
    array = np.asarray(array)
    if array.size > MAX_ENTRIES:
        content = hashlib.sha256(array.tobytes()).hexdigest()[:12]
        return f"{array.dtype}{list(array.shape)} sha256 {content}"
    if not np.issubdtype(array.dtype, np.floating):
        return array.tolist()
    # Shortest digits: 0.001 instead of 0.0010000000474974513.
    flat = [describe(float(str(entry))) for entry in array.ravel()]
    return np.reshape(np.array(flat, object), array.shape).tolist()
