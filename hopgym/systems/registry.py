"""Systems and potentials by name.

To add a family, write a subclass of `AbstractFamily` and add it to `FAMILIES`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from hopgym._suggest import describe_unknown_name
from hopgym.systems.family import AbstractFamily
from hopgym.systems.gupta import GuptaClusters
from hopgym.systems.lennard_jones import LennardJonesClusters
from hopgym.systems.morse import MorseClusters
from hopgym.systems.silicon import SiliconCrystals
from hopgym.systems.system import System

FAMILIES: tuple[AbstractFamily, ...] = (
    LennardJonesClusters(),
    GuptaClusters(),
    SiliconCrystals(),
    MorseClusters(),
)

FALLBACK_POTENTIAL = "gupta"  # for elements and alloys that no family lists

_registered: dict[str, Callable[[], System]] = {}


def system_names() -> list[str]:
    """Names of all registered systems; `get_system` accepts more than these."""
    return [name for family in FAMILIES for name in family.names] + list(_registered)


def potential_names() -> list[str]:
    """Names of all potentials on command lines and in `from_ase`."""
    return [name for family in FAMILIES for name in family.potentials]


def register_system(name: str, build: Callable[[], System]) -> None:
    """Make `get_system(name)` return `build()`.

    **Raises:** `ValueError` if the name is taken or no string, or `build` no function.
    """
    if not isinstance(name, str) or not callable(build):
        raise ValueError(
            f"a system is registered by a name and a function, got {name!r}, {build!r}"
        )
    taken = any(family.build(name) is not None for family in FAMILIES)
    if taken or name in _registered:
        raise ValueError(f"system {name!r} already exists; choose another name")
    _registered[name] = build


def get_system(name: str) -> System:
    """Build a system by name, such as `"LJ-75"` or `"Gupta-Ag19Au19"`.

    **Raises:** `KeyError` for an unknown name, with the most similar known ones;
    `ValueError` for a size or composition that is not available (`"LJ-1"`).
    """
    if not isinstance(name, str):
        raise KeyError(describe_unknown_name("system", name, system_names()))
    if name in _registered:
        return _registered[name]()
    for family in FAMILIES:
        system = family.build(name)
        if system is not None:
            return system
    raise KeyError(describe_unknown_name("system", name, system_names()))


def find_family(potential: str) -> AbstractFamily:
    """Find the family of a potential, such as `"lj"`, `"morse6"` or `"gupta-table4"`.

    **Raises:** `ValueError` for an unknown name, with the most similar known ones.
    """
    for family in FAMILIES if isinstance(potential, str) else ():
        if family.has_potential(potential):
            return family
    raise ValueError(describe_unknown_name("potential", potential, potential_names()))


def choose_potential(elements: Collection[str]) -> str:
    """Name of the default potential for atoms of given elements."""
    for family in FAMILIES:
        if len(elements) == 1 and set(elements) <= set(family.elements):
            return family.potentials[0]
    return FALLBACK_POTENTIAL
