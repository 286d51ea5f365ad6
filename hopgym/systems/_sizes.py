"""Numbers of atoms in names and formulas."""

from __future__ import annotations

MAX_SYSTEM_ATOMS = 10_000  # matrices of all pairs take 0.4 GB each


def read_count(digits: str, name: str) -> int:
    """Read a number of atoms in a name or formula.

    **Raises:** `ValueError`, which mentions `name`, for more than `MAX_SYSTEM_ATOMS`.
    """
    count = digits.lstrip("0") or "0"
    if len(count) > len(str(MAX_SYSTEM_ATOMS)):
        raise _explain_limit(name)
    check_size(int(count), name)
    return int(count)


def check_size(atoms: int, name: str) -> None:
    """Check the number of atoms of a system.

    **Raises:** `ValueError`, which mentions `name`, for more than `MAX_SYSTEM_ATOMS`.
    """
    if atoms > MAX_SYSTEM_ATOMS:
        raise _explain_limit(name)


def _explain_limit(name: str) -> ValueError:
    shown = name if len(name) <= 40 else f"{name[:36]}..."
    return ValueError(
        f"{shown!r}: systems by name have at most {MAX_SYSTEM_ATOMS} atoms"
    )
