"""Systems by name.

A family knows the names of its systems and how to build one. Adding a family is one
file with a function `build(name) -> System | None` and a list of the names to
register with Gymnasium, and one line in `FAMILIES`.
"""

from __future__ import annotations

from collections.abc import Callable

from hopgym._suggest import unknown_name
from hopgym.systems import gupta, lennard_jones, morse, silicon
from hopgym.systems.system import System

FAMILIES = (lennard_jones, gupta, silicon, morse)

_own: dict[str, Callable[[], System]] = {}


def system_names() -> list[str]:
    """Names of all registered systems; families accept more than these."""
    return [name for family in FAMILIES for name in family.NAMES] + list(_own)


def register_system(name: str, build: Callable[[], System]) -> None:
    """Make `get_system(name)` return `build()`.

    **Raises:** `ValueError` if the name is taken.
    """
    if name in _own or any(family.build(name) is not None for family in FAMILIES):
        raise ValueError(f"there is a system {name!r} already; choose another name")
    _own[name] = build


def get_system(name: str) -> System:
    """The system of that name, such as `"LJ-75"` or `"Gupta-Ag19Au19"`.

    **Raises:** `KeyError` for an unknown name, with the nearest known ones;
    `ValueError` for a name that is understood but makes no sense (`"LJ-1"`).
    """
    if name in _own:
        return _own[name]()
    for family in FAMILIES:
        system = family.build(name)
        if system is not None:
            return system
    raise KeyError(unknown_name("system", name, system_names()))
