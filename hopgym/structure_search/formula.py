"""Systems by chemical formula and potential."""

from __future__ import annotations

import re

from hopgym.systems import get_system
from hopgym.systems._sizes import check_size, read_count
from hopgym.systems.registry import FAMILIES, choose_potential, find_family


def resolve_system_name(target: str, potential: str | None) -> str:
    """Find the name of the system with a formula and a potential.

    **Arguments:**

    - `target`: a chemical formula such as `Ag19Au19`, `LJ38`, or a system's name.
    - `potential`: name of the potential; `None` for the default of the elements.

    **Raises:** `ValueError` or `KeyError` for an invalid formula or name, a potential
    that is unknown or does not describe the elements, or a size that is not available.
    """
    if "-" in target:
        if potential is not None:
            raise ValueError(f"{target} implies its potential: leave out --potential")
        return get_system(target).name
    counts = parse_formula(target)
    if potential is None:
        potential = choose_potential(counts)
    return get_system(find_family(potential).get_name(potential, counts)).name


def parse_formula(formula: str) -> dict[str, int]:
    """Parse a formula into the number of atoms of each element.

    `LJ38` stands for 38 atoms `"X"` in reduced units.

    **Raises:** `ValueError` for an invalid formula, for one whose elements no potential
    describes but would if they were written with other capitals (`AU13`), and for more
    than 10,000 atoms.
    """
    reduced = re.fullmatch(r"LJ([0-9]+)", formula)
    if reduced is not None:
        return {"X": read_count(reduced[1], formula)}
    parts = re.findall(r"([A-Z][a-z]?)([0-9]*)", formula)
    is_formula = "".join(map("".join, parts)) == formula and parts
    if not is_formula or not {element for element, _ in parts} <= _list_elements():
        hint = _capitalise(formula)
        if hint is not None and hint != formula:
            raise ValueError(f"{formula!r}: did you mean {hint}?")
    if not is_formula:
        raise ValueError(f"{formula!r} is not a formula such as Au55 or Ag19Au19")
    counts: dict[str, int] = {}
    for element, count in parts:
        counts[element] = counts.get(element, 0) + read_count(count or "1", formula)
    check_size(sum(counts.values()), formula)
    return counts


def _list_elements() -> set[str]:
    """Symbols of the elements that potentials describe."""
    return {element for family in FAMILIES for element in family.elements} - {"X"}


def _capitalise(formula: str) -> str | None:
    """`formula` with usual capitals, if potentials describe its elements then."""
    if re.fullmatch(r"LJ[0-9]+", formula, re.IGNORECASE):
        return formula.upper()
    symbol = "|".join(sorted(_list_elements()))
    part = rf"({symbol})([0-9]*)"
    if re.fullmatch(f"(?:{part})+", formula, re.IGNORECASE) is None:
        return None
    parts = re.findall(part, formula, re.IGNORECASE)
    return "".join(element.capitalize() + count for element, count in parts)
