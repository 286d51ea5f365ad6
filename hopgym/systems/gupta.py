"""Gupta clusters of one or two metals."""

from __future__ import annotations

import dataclasses
import functools
import importlib.resources
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from hopgym.potentials import Gupta
from hopgym.systems._minima import read_minima
from hopgym.systems._sizes import check_size, read_count
from hopgym.systems.family import AbstractFamily, Edges
from hopgym.systems.lennard_jones import estimate_energy
from hopgym.systems.start import HarmonicStart
from hopgym.systems.system import System

METALS = ("Ag", "Au", "Pd", "Pt")
PAIRS = ("AgAu", "AgPt", "PdAu", "PdPt")
START_EDGE = 4.0  # edge of the cube of random starts, in angstrom: paper D.2
ALLOY_TOLERANCE = 1e-3  # eV: minima that are closer count as one in the search

# For each element of a parameter set: energy in eV of the lowest known cluster (38
# atoms; 55 for the pure gold sets) divided by that of the Lennard-Jones cluster of the
# same size, so that energies per atom in these units are similar.
ENERGY_UNITS = {
    "gold55": (0.651,),
    "table4": (0.683,),
    "AgAu": (0.558, 0.761),
    "AgPt": (0.558, 1.150),
    "PdAu": (0.757, 0.751),
    "PdPt": (0.757, 1.150),
}


@functools.cache
def load_parameter_sets() -> dict[str, dict[str, Any]]:
    """Load the parameter sets by name: elements, pair parameters, source."""
    table = importlib.resources.files("hopgym") / "data" / "gupta.json"
    return json.loads(table.read_text())["sets"]


@functools.cache
def load_minima() -> dict[str, dict[str, Any]]:
    """Load the lowest known energies in eV by system, with source and tolerance.

    Those of all clusters of 38 atoms of a pair of metals were found by
    benchmarks/alloys.py; their structures are in `hopgym/data/alloy_minima.xyz`.
    """
    table = importlib.resources.files("hopgym") / "data" / "gupta_minima.json"
    minima = json.loads(table.read_text())
    for row in read_minima("alloy_minima.csv"):
        hits, starts = row["hits"], row["starts"]
        source = f"found by alloys.py from {hits} of {starts} random starts"
        if int(row["round"]):
            source = "found by alloys.py from structures of other compositions"
        minima[row["system"]] = {
            "energy": float(row["energy"]),
            "tolerance": ALLOY_TOLERANCE,
            "source": source,
        }
    return minima


def build_potential(parameter_set: str, elements: Sequence[str]) -> Gupta:
    """Build the potential of a parameter set, for some or all of its elements."""
    pairs = load_parameter_sets()[parameter_set]["pairs"]

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


def _choose_set(name: str, elements: Sequence[str], suffix: str | None) -> str:
    """Choose the parameter set for elements: `suffix`, or the first that has them.

    **Raises:** `ValueError`, which mentions the system `name`, if there is none.
    """
    fitting = [
        key
        for key, entry in load_parameter_sets().items()
        if set(elements) <= set(entry["elements"])
    ]
    if suffix is None and fitting:
        return fitting[0]
    if suffix in fitting:
        return suffix
    wanted = "parameter set" if suffix is None else f"parameter set {suffix!r}"
    raise ValueError(
        f"{name!r}: there is no {wanted} for {'-'.join(elements)}; "
        + (
            f"choose one of {', '.join(fitting)}"
            if fitting
            else f"there are sets for the metals {', '.join(METALS)} and the alloys "
            + ", ".join(f"{pair[:2]}-{pair[2:]}" for pair in PAIRS)
        )
    )


class GuptaClusters(AbstractFamily):
    """Gupta clusters by chemical formula: `Gupta-Au55`, `Gupta-Ag19Au19`.

    `Gupta-<formula>` with 2 to 10,000 atoms of one metal or of one of the pairs Ag-Au,
    Ag-Pt, Pd-Au, Pd-Pt; an optional suffix selects the parameter set
    (`Gupta-Au55-table4`). The default is the gold-55 set for pure gold, otherwise the
    set of the first of these pairs that contains the metals.
    """

    names: ClassVar[Sequence[str]] = [
        *("Gupta-Au55", "Gupta-Au55-table4"),
        *(f"Gupta-{p[:2]}{38 - m}{p[2:]}{m}" for p in PAIRS for m in range(39)),
    ]
    potentials: ClassVar[Sequence[str]] = ("gupta",)
    elements: ClassVar[Sequence[str]] = METALS
    is_periodic: ClassVar[bool] = False

    def has_potential(self, potential: str) -> bool:
        return re.fullmatch(r"gupta(-\w+)?", potential) is not None

    def build(self, name: str) -> System | None:
        match = re.fullmatch(r"Gupta-((?:[A-Z][a-z]?[0-9]+){1,2})(?:-(\w+))?", name)
        if match is None:
            return None
        formula, suffix = match.groups()
        parts = re.findall(r"([A-Z][a-z]?)([0-9]+)", formula)
        counts = {element: read_count(count, name) for element, count in parts}
        if len(counts) != len(parts):
            raise ValueError(f"{name!r} names the same element twice")
        check_size(sum(counts.values()), name)
        return self._cluster(name, counts, suffix)

    def get_name(self, potential: str, counts: Mapping[str, int]) -> str:
        if "X" in counts:
            raise ValueError(
                f"{potential!r} is for one or two metals, but atoms in reduced units "
                "have no elements"
            )
        if len(counts) > 2:
            raise ValueError(
                f"{potential!r} is for one or two metals, got {', '.join(counts)}"
            )
        formula = "".join(f"{element}{count}" for element, count in counts.items())
        return f"Gupta-{formula}{potential.removeprefix('gupta')}"

    def build_from_symbols(
        self, potential: str, symbols: Sequence[str], box: Edges | None
    ) -> System:
        counts = Counter(symbols)
        name = self.get_name(potential, counts)
        suffix = potential.partition("-")[2]
        system = self._cluster(name, counts, suffix or None)
        species = [system.elements.index(symbol) for symbol in symbols]
        return dataclasses.replace(system, species=species)

    def _cluster(
        self, name: str, counts: Mapping[str, int], suffix: str | None
    ) -> System:
        chosen = _choose_set(name, tuple(counts), suffix)
        ordered = load_parameter_sets()[chosen]["elements"]
        elements = tuple(element for element in ordered if element in counts)
        atoms = sum(counts.values())
        if atoms < 2:
            raise ValueError(f"{name!r}: a cluster needs at least 2 atoms")
        units = dict(zip(ordered, ENERGY_UNITS[chosen], strict=True))
        unit = sum(units[element] * counts[element] for element in elements) / atoms
        canonical = "Gupta-" + "".join(f"{e}{counts[e]}" for e in elements)
        if chosen != _choose_set(name, elements, None):
            canonical += f"-{chosen}"
        # The table of alloys names both metals of a set, also of pure clusters.
        of_pair = "Gupta-" + "".join(f"{e}{counts.get(e, 0)}" for e in ordered)
        known = load_minima().get(of_pair if chosen in PAIRS else canonical, {})
        surface = build_potential(chosen, elements)
        length = float(surface.d0.min())
        return System(
            name=canonical,
            potential=surface,
            species=[k for k, e in enumerate(elements) for _ in range(counts[e])],
            start=HarmonicStart(edge=START_EDGE / length),
            length=length,
            energy_unit=unit,
            energy_scale=-known.get("energy", unit * estimate_energy(atoms)),
            reference=known.get("energy"),
            tolerance=known.get("tolerance", 1e-3 * unit),
            elements=elements,
            reference_source=known.get("source", ""),
        )
