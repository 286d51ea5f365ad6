"""Lennard-Jones clusters."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from hopgym.potentials import LennardJones
from hopgym.systems._elements import get_single_element
from hopgym.systems._minima import read_minima
from hopgym.systems._sizes import read_count
from hopgym.systems.family import AbstractFamily, Edges
from hopgym.systems.start import HarmonicStart
from hopgym.systems.system import System

SOURCE = "Cambridge Cluster Database"
MAX_ATOMS = 150  # size of the largest cluster in the table of minima


@functools.cache
def load_minima() -> dict[int, float]:
    """Load the lowest known energies in epsilon, by number of atoms."""
    rows = read_minima("lj_minima.csv")
    return {int(row["n_atoms"]): float(row["energy"]) for row in rows}


def estimate_energy(atoms: int) -> float:
    """Lowest energy of a cluster in epsilon, extrapolated beyond the table.

    Above `MAX_ATOMS` the energy per atom, which varies slowly, is taken from the
    largest cluster in the table. This is accurate enough for an energy scale.
    """
    minima = load_minima()
    nearest = min(atoms, MAX_ATOMS)
    return minima[nearest] * atoms / nearest


class LennardJonesClusters(AbstractFamily):
    """Lennard-Jones clusters: `LJ-2` to `LJ-150`, in units of epsilon and d0."""

    names: ClassVar[Sequence[str]] = [
        f"LJ-{atoms}" for atoms in range(2, MAX_ATOMS + 1)
    ]
    potentials: ClassVar[Sequence[str]] = ("lj",)
    elements: ClassVar[Sequence[str]] = ("X", "Ne", "Ar", "Kr", "Xe")
    is_periodic: ClassVar[bool] = False

    def has_potential(self, potential: str) -> bool:
        return potential == "lj"

    def build(self, name: str) -> System | None:
        match = re.fullmatch(r"LJ-([0-9]+)", name)
        if match is None:
            return None
        atoms = read_count(match[1], name)
        if not 2 <= atoms <= MAX_ATOMS:
            raise ValueError(
                f"{name!r}: minima are known for LJ-2 to LJ-{MAX_ATOMS}; for other "
                "sizes, make your own hopgym.System"
            )
        return self._cluster(f"LJ-{atoms}", atoms)

    def get_name(self, potential: str, counts: Mapping[str, int]) -> str:
        get_single_element(potential, counts)
        return f"LJ-{sum(counts.values())}"

    def build_from_symbols(
        self, potential: str, symbols: Sequence[str], box: Edges | None
    ) -> System:
        element = get_single_element(potential, symbols)
        cluster = self._cluster(f"LJ-{len(symbols)}", len(symbols))
        return dataclasses.replace(cluster, elements=(element,))

    def _cluster(self, name: str, atoms: int) -> System:
        energy = load_minima().get(atoms)
        return System(
            name=name,
            potential=LennardJones(),
            species=[0] * atoms,
            start=HarmonicStart(edge=3.0),
            energy_scale=-(estimate_energy(atoms) if energy is None else energy),
            reference=energy,
            reference_source="" if energy is None else SOURCE,
        )
