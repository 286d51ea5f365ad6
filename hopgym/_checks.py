"""Checks of numbers that users choose, made when an object is constructed.

Only known values are checked: within traced functions parameters may be unknown.
"""

from __future__ import annotations

import operator
import reprlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

LARGEST_INT = 2**31 - 1  # counters are 32-bit integers


class Rule(NamedTuple):
    """A condition that all numbers of an array have to meet.

    **Arguments:**

    - `words`: what a number must be, such as `"positive"`.
    - `holds`: which numbers of an array meet the condition; NaN must not.
    """

    words: str
    holds: Callable[[np.ndarray], Any]


FINITE = Rule("finite", np.isfinite)
POSITIVE = Rule("positive and finite", lambda x: (x > 0) & (x < np.inf))
NOT_NEGATIVE = Rule("finite and not negative", lambda x: (x >= 0) & (x < np.inf))
LIMIT = Rule("not negative", lambda x: x >= 0)  # or infinite: no limit
FRACTION = Rule("between 0 and 1", lambda x: (x >= 0) & (x <= 1))
DECAY = Rule("at least 0 and below 1", lambda x: (x >= 0) & (x < 1))


def between(low: float | int, high: float | int) -> Rule:
    """Numbers from `low` to `high`."""
    return Rule(f"between {low:g} and {high:g}", lambda x: (x >= low) & (x <= high))


def describe(value: Any) -> str:
    """Describe a value in a message: arrays by type and shape, others in full."""
    if hasattr(value, "dtype"):
        return f"an array of {value.dtype} and shape {value.shape}"
    return reprlib.repr(value)


def is_known(value: Any) -> bool:
    """Whether the numbers of an array or of a nested sequence are known.

    They are not within traced functions.
    """
    return not any(isinstance(x, Tracer) for x in jax.tree.leaves(value))


def check_number(what: str, value: Any, rule: Rule) -> None:
    """Check the numbers of an array, if they are known.

    **Raises:** `ValueError`, which names `what` and the condition.
    """
    if not is_known(value):
        return
    numbers = np.asarray(value)
    if not np.all(rule.holds(numbers)):
        found = reprlib.repr(numbers.tolist())
        raise ValueError(f"{what} must be {rule.words}, got {found}")


def check_fields(module: Any, **rules: Rule) -> None:
    """Check fields of a module, each by its own condition.

    **Raises:** `ValueError` as `check_number`.
    """
    for name, rule in rules.items():
        check_number(f"{type(module).__name__}: {name}", getattr(module, name), rule)


def check_length(module: Any, name: str, count: int) -> None:
    """Check that a field of a module is a vector of so many numbers.

    **Raises:** `ValueError`, which names the field.
    """
    value = getattr(module, name)
    if value.shape != (count,):
        raise ValueError(
            f"{type(module).__name__}: {name} needs {count} numbers, got "
            f"{describe(value)}"
        )


def check_integer(
    what: str, value: Any, least: int, most: int | None = LARGEST_INT
) -> int:
    """Return a number as an integer.

    **Arguments:**

    - `what`: what the number is, for the message.
    - `value`: an integer, or a real number that is one.
    - `least`, `most`: the limits; `None` for no upper limit.

    **Raises:** `ValueError` for anything else, and for numbers outside the limits.
    """
    limits = f"of at least {least}" if most is None else f"from {least} to {most}"
    complaint = f"{what} must be an integer {limits}, got {value!r}"
    if isinstance(value, bool | np.bool):
        raise ValueError(complaint)
    try:
        number = int(value) if _is_whole(value) else operator.index(value)
    except TypeError as error:
        raise ValueError(complaint) from error
    if number < least or (most is not None and number > most):
        raise ValueError(complaint)
    return number


def _is_whole(value: Any) -> bool:
    return isinstance(value, float | np.floating) and value.is_integer()


def check_precision(what: str, arrays: Iterable[Any]) -> None:
    """Check that arrays have the precision in which JAX computes.

    **Raises:** `ValueError` if it was changed after they were made.
    """
    precision = jnp.result_type(float)
    for array in arrays:
        if array.dtype != precision:
            raise ValueError(
                f"{what} was made in {array.dtype}, but JAX now computes in "
                f"{precision}: set jax_enable_x64 first, then make systems and "
                "environments"
            )
