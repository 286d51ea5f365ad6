"""Morse clusters `Morse14-38`: range parameter 3, 6, 10 or 14, and number of atoms."""

from __future__ import annotations

import re

from hopgym.potentials import Morse
from hopgym.systems.lennard_jones import typical_energy
from hopgym.systems.start import HarmonicStart
from hopgym.systems.system import System

RANGES = (3, 6, 10, 14)
SIZES = range(2, 81)
NAMES = [f"Morse{rho}-{atoms}" for rho in RANGES for atoms in SIZES]

# Energies in epsilon: J. P. K. Doye, The Structure of Clusters, PhD thesis, University
# of Cambridge (1996), table 2.2, by number of atoms, for the ranges above.
SOURCE = "J. P. K. Doye, PhD thesis, University of Cambridge (1996), table 2.2"
MINIMA = {
    5: (-9.2995, -9.0449, -9.0036, -9.0003),
    6: (-13.5442, -12.4878, -12.0949, -12.0182),
    7: (-17.5530, -16.2076, -15.9565, -15.8831),
    8: (-22.0429, -19.3274, -18.9646, -18.8837),
    9: (-26.7784, -23.4172, -22.8508, -22.6449),
    10: (-31.8886, -27.4733, -26.5839, -26.1327),
}


def build(name: str) -> System | None:
    """The cluster of that name, or `None` if the name is of another family.

    **Raises:** `ValueError` for another range or number of atoms.
    """
    match = re.fullmatch(r"Morse(\d+)-(\d+)", name)
    if match is None:
        return None
    rho, atoms = int(match[1]), int(match[2])
    if rho not in RANGES or atoms not in SIZES:
        raise ValueError(
            f"{name!r}: the range parameter is one of {RANGES} and the number of atoms "
            f"lies in {SIZES[0]}..{SIZES[-1]}; for others make a hopgym.System of your "
            "own"
        )
    reference = None
    if atoms in MINIMA:
        reference = MINIMA[atoms][RANGES.index(rho)]
    return System(
        name=name,
        potential=Morse(rho),
        species=[0] * atoms,
        start=HarmonicStart(edge=3.0),
        energy_scale=-(reference or typical_energy(atoms)),
        reference=reference,
        reference_source=SOURCE if reference is not None else "",
    )
