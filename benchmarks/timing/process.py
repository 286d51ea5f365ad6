"""The cores of the measuring process."""

from __future__ import annotations

import os


def pin_to_cores(first: int | None, count: int) -> None:
    """Pin this process to cores, if the operating system supports it.

    **Arguments:**

    - `first`: first core; `None` for the first allowed one.
    - `count`: number of cores.

    **Raises:** `ValueError` for cores that are not allowed.
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    allowed = sorted(os.sched_getaffinity(0))
    if first is None:
        first = allowed[0]
    if first not in allowed:
        raise ValueError(f"core {first} is not one of {allowed}")
    chosen = allowed[allowed.index(first) :][:count]
    if len(chosen) < count:
        raise ValueError(
            f"there are not {count} cores from core {first} on; allowed: {allowed}"
        )
    os.sched_setaffinity(0, {*chosen})
