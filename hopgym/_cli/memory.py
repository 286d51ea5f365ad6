"""The memory that a command needs."""

from __future__ import annotations

import os
from pathlib import Path

FLOAT = 4  # bytes
# Arrays of the size of the positions that a start needs: about 50 in the state of
# L-BFGS with its history, twice in an update, and a quench of two structures.
ARRAYS = 150
MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")


def estimate_memory(starts: int, atoms: int) -> float:
    """Estimate the bytes that structures need while they are searched and quenched.

    **Arguments:**

    - `starts`: number of structures that are computed at once.
    - `atoms`: number of atoms of each.
    """
    return float(starts) * atoms * 3 * FLOAT * ARRAYS


def check_memory(needed: float, what: str) -> None:
    """Check that something fits into the memory, before it is allocated.

    **Arguments:**

    - `needed`: number of bytes.
    - `what`: what needs them, for the message.

    **Raises:** `ValueError` if it does not fit.
    """
    memory = _get_memory()
    if needed > memory:
        raise ValueError(
            f"{what} need about {needed / 1e9:,.0f} GB of memory, more than the "
            f"{memory / 1e9:,.0f} GB of this machine: choose fewer or smaller ones"
        )


def _get_memory() -> float:
    """Memory in bytes that this process may use."""
    try:
        memory = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # not POSIX
        return float("inf")
    try:
        return min(memory, float(MEMORY_LIMIT.read_text()))
    except (OSError, ValueError):  # no control groups, or no limit
        return memory
