"""Morse clusters."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from hopgym.potentials import Morse
from hopgym.systems._elements import get_single_element
from hopgym.systems._minima import read_minima
from hopgym.systems._sizes import read_count
from hopgym.systems.family import AbstractFamily, Edges
from hopgym.systems.lennard_jones import estimate_energy
from hopgym.systems.start import HarmonicStart
from hopgym.systems.system import System

RANGES = (3, 6, 10, 14)
SIZES = range(2, 81)

# Where energies come from, by the last column of the table.
SOURCES = {
    "thesis": "J. P. K. Doye, PhD thesis, University of Cambridge (1996), table 2.2",
    "database": "Cambridge Cluster Database",
    "search": "lowest found by bh-symmetric from 100 starts of 50,000 evaluations",
}


@functools.cache
def load_minima() -> dict[tuple[int, int], tuple[float, str]]:
    """Load the lowest known energies in epsilon with their sources.

    Keys are the range parameter and the number of atoms.
    """
    return {
        (int(row["rho"]), int(row["atoms"])): (float(row["energy"]), row["source"])
        for row in read_minima("morse_minima.csv")
    }


class MorseClusters(AbstractFamily):
    """Morse clusters `Morse<rho>-<atoms>`: rho is 3, 6, 10 or 14, with 2 to 80 atoms.

    rho is the range parameter of [`hopgym.potentials.Morse`][].
    """

    names: ClassVar[Sequence[str]] = [
        f"Morse{rho}-{atoms}" for rho in RANGES for atoms in SIZES
    ]
    potentials: ClassVar[Sequence[str]] = tuple(f"morse{rho}" for rho in RANGES)
    elements: ClassVar[Sequence[str]] = ()
    is_periodic: ClassVar[bool] = False

    def has_potential(self, potential: str) -> bool:
        return re.fullmatch(r"morse[0-9]{1,3}", potential) is not None

    def build(self, name: str) -> System | None:
        match = re.fullmatch(r"Morse([0-9]+)-([0-9]+)", name)
        if match is None:
            return None
        rho, atoms = (read_count(digits, name) for digits in match.groups())
        if rho not in RANGES or atoms not in SIZES:
            raise ValueError(
                f"{name!r}: the range parameter must be one of {RANGES} and the number "
                f"of atoms in {SIZES[0]}..{SIZES[-1]}; for others, make your own "
                "hopgym.System"
            )
        return self._cluster(f"Morse{rho}-{atoms}", rho, atoms)

    def get_name(self, potential: str, counts: Mapping[str, int]) -> str:
        get_single_element(potential, counts)
        return f"{potential.capitalize()}-{sum(counts.values())}"

    def build_from_symbols(
        self, potential: str, symbols: Sequence[str], box: Edges | None
    ) -> System:
        element = get_single_element(potential, symbols)
        rho = int(potential.removeprefix("morse"))
        if rho not in RANGES:
            raise ValueError(
                f"{potential!r}: the range parameter must be one of {RANGES}; for "
                "others, make your own hopgym.System"
            )
        name = f"{potential.capitalize()}-{len(symbols)}"
        cluster = self._cluster(name, rho, len(symbols))
        return dataclasses.replace(cluster, elements=(element,))

    def _cluster(self, name: str, rho: int, atoms: int) -> System:
        reference, source = load_minima().get((rho, atoms), (None, ""))
        return System(
            name=name,
            potential=Morse(rho),
            species=[0] * atoms,
            start=HarmonicStart(edge=3.0),
            energy_scale=-(reference or estimate_energy(atoms)),
            reference=reference,
            reference_source=SOURCES.get(source, ""),
        )
