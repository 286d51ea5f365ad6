"""Checks of user input that all interfaces for reinforcement learning share."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from hopgym._checks import LARGEST_INT, check_integer
from hopgym.systems import System, get_system

MAX_EVALUATIONS = 2**30  # per hop, so that their sum stays such an integer
MAX_SEED = 2**63 - 1


def check_positive(name: str, value: Any) -> float:
    """Return a number that is positive and finite in single precision, as a float.

    **Raises:** `ValueError` for anything else.
    """
    try:
        if isinstance(value, (str, bytes, bool, np.bool_)):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = np.nan
    with np.errstate(over="ignore", under="ignore"):
        single = np.float32(number)
    if not (np.isfinite(single) and single > 0):
        raise ValueError(f"{name} must be positive and finite, got {value!r}")
    return number


def check_bool(name: str, value: Any) -> bool:
    """Return a truth value, which may be 0 or 1.

    **Raises:** `ValueError` for anything else.
    """
    if np.ndim(value) != 0 or isinstance(value, str) or value not in (0, 1):
        raise ValueError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def check_batch_size(name: str, value: Any, least: int, numbers: int) -> int:
    """Return the size of a batch.

    **Arguments:**

    - `name`, `value`, `least`: as for `check_integer`.
    - `numbers`: how many numbers a replica has; all of the batch must be countable by
      32-bit integers.

    **Raises:** `ValueError` as `check_integer`.
    """
    return check_integer(name, value, least, LARGEST_INT // numbers)


def to_reals(name: str, values: Any) -> np.ndarray | Array:
    """Convert to an array of real numbers, of the precision that they have.

    **Raises:** `ValueError` for what is not an array of real numbers.
    """
    array = values
    if not isinstance(values, jax.Array):
        try:
            array = np.asarray(values)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name} must be an array of real numbers") from error
    if array.dtype.kind not in "fiu" and not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(
            f"{name} must be an array of real numbers, got the type {array.dtype}"
        )
    return array


def flatten_actions(
    system: System, actions: Any, batch_shape: tuple[int, ...] = ()
) -> np.ndarray | Array:
    """Reshape actions to `batch_shape + (3 * atoms,)`.

    **Raises:** `ValueError` if they are not real numbers, or neither of this shape nor
    of `batch_shape + (atoms, 3)`.
    """
    actions = to_reals(f"{system.name}: actions", actions)
    wanted = (*batch_shape, 3 * system.atoms)
    if actions.shape == wanted:
        return actions
    if actions.shape == (*batch_shape, system.atoms, 3):
        return actions.reshape(wanted)
    raise ValueError(
        f"{system.name}: actions must have shape {wanted} or "
        f"{(*batch_shape, system.atoms, 3)}, got {actions.shape}"
    )


def resolve_system(system: Any) -> System:
    """Return a system that is given itself or by its name.

    **Raises:** `KeyError` or `ValueError` as [`hopgym.get_system`][]; `ValueError` for
    stacked systems and for what is neither a system nor a name.
    """
    if isinstance(system, str):
        return get_system(system)
    if not isinstance(system, System):
        raise ValueError(
            "system must be the name of a system or a hopgym.System, got an object of "
            f"type {type(system).__name__}"
        )
    if system.species.ndim != 1:
        raise ValueError(
            f"{system.name}: an environment is of one system; vmap over "
            "hopgym.rl.MDP for stacked ones"
        )
    return system
