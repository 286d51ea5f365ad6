"""Checks of numbers that users choose, made when an object is constructed.

Only known values are checked: within traced functions parameters may be unknown.
"""

from __future__ import annotations

import operator
import reprlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer


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


def check_count(what: str, value: Any, low: int, high: int) -> int:
    """Check a whole number that is not an array, such as a size.

    **Returns:** the number.

    **Raises:** `ValueError` for anything else than a whole number in the given range.
    """
    try:
        count = operator.index(value)
    except TypeError:
        count = None
    if count is None or isinstance(value, bool | np.bool) or not low <= count <= high:
        raise ValueError(
            f"{what} must be a whole number between {low} and {high}, got {value!r}"
        )
    return count
