"""Look-up of systems and other names, with one-line errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hopgym._cli.memory import check_memory, estimate_memory
from hopgym._suggest import describe_unknown_name
from hopgym.systems import System, get_system


def get_systems(
    names: Iterable[str], get: Callable[[str], System] = get_system
) -> list[System]:
    """Get systems by name, without duplicates.

    `get` returns one; a suite has its own reference energies.

    **Raises:** `ValueError` for an unknown or invalid name, or no names.
    """
    try:
        found = [get(name) for name in names]
    except KeyError as error:
        raise ValueError(error.args[0]) from error
    if not found:
        raise ValueError("no systems to run")
    return list({system.name: system for system in found}.values())


def check_sizes(systems: Iterable[System], starts: int) -> None:
    """Check that all starts of each system fit into the memory.

    **Raises:** `ValueError` if they do not.
    """
    for system in systems:
        check_memory(
            estimate_memory(starts, system.atoms),
            f"{starts:,} starts of {system.name}",
        )


def check_names(kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Check that all names are known.

    **Arguments:**

    - `kind`: what is named, for messages, such as `"system"`.
    - `names`: the names to check.
    - `known`: all known names.

    **Raises:** `ValueError` for an unknown name, or no names.
    """
    names, known = list(names), list(known)
    if not names:
        raise ValueError(f"no {kind}s to run")
    for name in names:
        if name not in known:
            raise ValueError(describe_unknown_name(kind, name, known))
