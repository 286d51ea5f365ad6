"""Lennard-Jones clusters: `LJ-2` to `LJ-150`, in units of epsilon and d0."""

from __future__ import annotations

import csv
import functools
import importlib.resources
import re

from hopgym.potentials import LennardJones
from hopgym.systems.start import HarmonicStart
from hopgym.systems.system import System

SOURCE = "Cambridge Cluster Database"
LARGEST = 150
NAMES = [f"LJ-{atoms}" for atoms in range(2, LARGEST + 1)]


@functools.cache
def minima() -> dict[int, float]:
    """Energy of the lowest known structure by number of atoms, in epsilon."""
    table = importlib.resources.files("hopgym") / "data" / "lj_minima.csv"
    lines = [line for line in table.read_text().splitlines() if line[0] != "#"]
    return {int(row["n_atoms"]): float(row["energy"]) for row in csv.DictReader(lines)}


def typical_energy(atoms: int) -> float:
    """Lowest energy of a cluster of that size, extrapolated above the table.

    Above `LARGEST` from the largest entry by its energy per atom, which changes
    slowly there; it serves as a scale only.
    """
    table = minima()
    nearest = min(atoms, LARGEST)
    return table[nearest] * atoms / nearest


def build(name: str) -> System | None:
    """The cluster of that name, or `None` if the name is of another family.

    **Raises:** `ValueError` if there are fewer than 2 or more than 150 atoms.
    """
    match = re.fullmatch(r"LJ-(\d+)", name)
    if match is None:
        return None
    atoms = int(match[1])
    if not 2 <= atoms <= LARGEST:
        raise ValueError(
            f"{name!r}: minima are known for LJ-2 to LJ-{LARGEST}; for other sizes "
            "make a hopgym.System of your own"
        )
    energy = minima()[atoms]
    return System(
        name=name,
        potential=LennardJones(),
        species=[0] * atoms,
        start=HarmonicStart(edge=3.0),
        energy_scale=-energy,
        reference=energy,
        reference_source=SOURCE,
    )
