"""Systems by chemical formula and potential."""

from __future__ import annotations

import re

from hopgym.systems import get_system
from hopgym.systems.registry import choose_potential, find_family


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

    **Raises:** `ValueError` for an invalid formula.
    """
    reduced = re.fullmatch(r"LJ(\d+)", formula)
    if reduced is not None:
        return {"X": int(reduced[1])}
    parts = re.findall(r"([A-Z][a-z]?)(\d*)", formula)
    if "".join(element + count for element, count in parts) != formula or not parts:
        raise ValueError(f"{formula!r} is not a formula such as Au55 or Ag19Au19")
    counts: dict[str, int] = {}
    for element, count in parts:
        counts[element] = counts.get(element, 0) + int(count or 1)
    return counts
