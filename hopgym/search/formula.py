"""Systems by formula and potential."""

from __future__ import annotations

import re

from hopgym._suggest import unknown_name
from hopgym.systems import get_system

RARE_GASES = ("Ne", "Ar", "Kr", "Xe")
POTENTIALS = ["lj", "morse3", "morse6", "morse10", "morse14", "gupta", "sw"]


def system_name(target: str, potential: str | None) -> str:
    """Name of the system that a formula and a potential mean.

    **Raises:** `ValueError` or `KeyError` for what is no formula, a potential that is
    unknown or does not describe the elements, or a size that it has no system for.
    """
    if "-" in target:
        if potential is not None:
            raise ValueError(f"{target} names its potential: leave out --potential")
        return get_system(target).name
    lennard_jones = re.fullmatch(r"LJ(\d+)", target)
    if lennard_jones is not None:
        counts = {"X": int(lennard_jones[1])}
    else:
        counts = _counts(target)
    if potential is None:
        potential = _usual(list(counts))
    morse = re.fullmatch(r"morse(\d+)", potential)
    gupta = re.fullmatch(r"gupta(-\w+)?", potential)
    if potential == "lj" or morse is not None:
        if len(counts) > 1:
            raise ValueError(f"{potential} is for one element, {target} has several")
        family = f"Morse{morse[1]}" if morse is not None else "LJ"
        return get_system(f"{family}-{sum(counts.values())}").name
    if lennard_jones is not None:
        raise ValueError(f"{target} has no elements for {potential}")
    if gupta is not None:
        formula = "".join(f"{element}{count}" for element, count in counts.items())
        return get_system(f"Gupta-{formula}{gupta[1] or ''}").name
    if potential == "sw":
        if list(counts) != ["Si"]:
            raise ValueError(f"sw is for silicon, not for {target}")
        return get_system(f"SW-Si{counts['Si']}").name
    raise ValueError(unknown_name("potential", potential, POTENTIALS))


def _counts(formula: str) -> dict[str, int]:
    parts = re.findall(r"([A-Z][a-z]?)(\d*)", formula)
    if "".join(element + count for element, count in parts) != formula or not parts:
        raise ValueError(f"{formula!r} is no formula such as Au55 or Ag19Au19")
    counts: dict[str, int] = {}
    for element, count in parts:
        counts[element] = counts.get(element, 0) + int(count or 1)
    return counts


def _usual(elements: list[str]) -> str:
    if elements in ([gas] for gas in ("X", *RARE_GASES)):
        return "lj"
    return "sw" if elements == ["Si"] else "gupta"
