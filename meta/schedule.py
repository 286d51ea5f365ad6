"""Values that change during training, written as VALUE@UPDATE."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
Schedule = list[tuple[int, T]]


def parse(text: str, value: Callable[[str], T]) -> Schedule:
    """Parse a schedule: `"2000,10000@300"` becomes `[(0, 2000), (300, 10000)]`.

    **Arguments:**

    - `text`: values separated by commas, each with the update from which it holds
      (default 0).
    - `value`: function that parses one value.

    **Raises:** `ValueError` for any other text.
    """
    entries = []
    for entry in text.split(","):
        what, at, update = entry.strip().partition("@")
        if not what or (at and not update.isdecimal()):
            raise ValueError(f"{entry.strip()!r} is neither VALUE nor VALUE@UPDATE")
        entries.append((int(update or 0), value(what)))
    return entries


def get_value(schedule: Schedule[T], update: int) -> T:
    """Get the value that holds in an update, from the latest entry."""
    return max(
        (entry for entry in schedule if entry[0] <= update), key=lambda entry: entry[0]
    )[1]


def get_active(schedule: Schedule[Any], update: int) -> list[int]:
    """Get the indices of all entries that hold in an update."""
    return [k for k, (start, _) in enumerate(schedule) if start <= update]
