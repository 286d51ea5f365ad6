"""The process that measures: the cores it runs on."""

from __future__ import annotations

import os


def pin_to_cores(first: int | None, count: int) -> None:
    """Keep this process on some cores, where the operating system can do that.

    **Arguments:**

    - `first`: the first of them; `None` for the first that is allowed.
    - `count`: their number.

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
        raise ValueError(f"there are not {count} cores from {first} on: {allowed}")
    os.sched_setaffinity(0, {*chosen})
