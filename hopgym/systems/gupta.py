"""Gupta clusters by chemical formula: `Gupta-Au55`, `Gupta-Ag19Au19`.

`Gupta-<formula>` with one metal or one of the pairs Ag-Au, Ag-Pt, Pd-Au, Pd-Pt, any
number of atoms; an optional suffix chooses the parameter set (`Gupta-Au55-table4`).
Pure gold has the gold-55 set by default, other metals that of the first pair above
which contains them.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import re

from hopgym.potentials import Gupta
from hopgym.systems.lennard_jones import typical_energy
from hopgym.systems.start import HarmonicStart
from hopgym.systems.system import System

PAIRS = ("AgAu", "AgPt", "PdAu", "PdPt")
NAMES = ["Gupta-Au55", "Gupta-Au55-table4"] + [
    f"Gupta-{pair[:2]}{38 - m}{pair[2:]}{m}" for pair in PAIRS for m in range(39)
]
EDGE = 4.0  # angstrom, paper D.2

# For each element of a set: energy in eV of the lowest known cluster (38 atoms; 55 for
# the pure gold sets) divided by that of the Lennard-Jones cluster of the same size, so
# that energies per atom in these units are alike.
ENERGY_UNITS = {
    "gold55": (0.651,),
    "table4": (0.683,),
    "AgAu": (0.558, 0.761),
    "AgPt": (0.558, 1.150),
    "PdAu": (0.757, 0.751),
    "PdPt": (0.757, 1.150),
}


@functools.cache
def parameter_sets() -> dict[str, dict]:
    """Parameter sets by name: elements, pair parameters, source."""
    table = importlib.resources.files("hopgym") / "data" / "gupta.json"
    return json.loads(table.read_text())["sets"]


@functools.cache
def known_minima() -> dict[str, dict]:
    """Lowest known energies in eV, their source and tolerance, by system."""
    table = importlib.resources.files("hopgym") / "data" / "gupta_minima.json"
    return json.loads(table.read_text())


def potential(parameter_set: str, elements: tuple[str, ...]) -> Gupta:
    """The potential of a parameter set for some or all of its elements."""
    pairs = parameter_sets()[parameter_set]["pairs"]

    def table(key: str) -> list[list[float]]:
        return [
            [
                pairs[f"{x}-{y}" if f"{x}-{y}" in pairs else f"{y}-{x}"][key]
                for y in elements
            ]
            for x in elements
        ]

    return Gupta(
        a=table("a"), xi=table("xi"), p=table("p"), q=table("q"), d0=table("d0")
    )


def _parameter_set(name: str, elements: tuple[str, ...], suffix: str | None) -> str:
    """Name of the parameter set of these elements, the named one or the first."""
    fitting = [
        key
        for key, entry in parameter_sets().items()
        if set(elements) <= set(entry["elements"])
    ]
    if suffix is None and fitting:
        return fitting[0]
    if suffix in fitting:
        return suffix
    raise ValueError(
        f"{name!r}: there is no parameter set {suffix or ''} for {'-'.join(elements)}; "
        + (
            f"choose one of {', '.join(fitting)}"
            if fitting
            else f"the pairs are {', '.join(PAIRS)}"
        )
    )


def build(name: str) -> System | None:
    """The cluster of that name, or `None` if the name is of another family.

    **Raises:** `ValueError` for metals without parameters or fewer than 2 atoms.
    """
    match = re.fullmatch(r"Gupta-((?:[A-Z][a-z]?\d+){1,2})(?:-(\w+))?", name)
    if match is None:
        return None
    formula, suffix = match.groups()
    counts = {
        element: int(count)
        for element, count in re.findall(r"([A-Z][a-z]?)(\d+)", formula)
    }
    chosen = _parameter_set(name, tuple(counts), suffix)
    ordered = parameter_sets()[chosen]["elements"]
    elements = tuple(element for element in ordered if element in counts)
    atoms = sum(counts.values())
    if atoms < 2 or len(re.findall(r"\d+", formula)) != len(counts):
        raise ValueError(f"{name!r}: a cluster needs at least 2 atoms")
    units = dict(zip(ordered, ENERGY_UNITS[chosen], strict=True))
    unit = sum(units[element] * counts[element] for element in elements) / atoms
    canonical = "Gupta-" + "".join(f"{e}{counts[e]}" for e in elements)
    if chosen != _parameter_set(name, elements, None):
        canonical += f"-{chosen}"
    known = known_minima().get(canonical, {})
    surface = potential(chosen, elements)
    length = float(surface.d0.min())
    return System(
        name=canonical,
        potential=surface,
        species=[k for k, e in enumerate(elements) for _ in range(counts[e])],
        start=HarmonicStart(edge=EDGE / length),
        length=length,
        energy_unit=unit,
        energy_scale=-known.get("energy", unit * typical_energy(atoms)),
        reference=known.get("energy"),
        tolerance=known.get("tolerance", 1e-3 * unit),
        elements=elements,
        reference_source=known.get("source", ""),
    )
