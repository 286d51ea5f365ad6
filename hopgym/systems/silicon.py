"""Periodic Stillinger-Weber silicon: `SW-Si8`, `SW-Si64`, `SW-Si216`.

The paper's edge of 5.248 angstrom is a misprint for 5.428 (its quench statistics are
reproduced there and not at 5.248).
"""

from __future__ import annotations

import re

from hopgym.potentials import StillingerWeber
from hopgym.systems.start import HarmonicStart
from hopgym.systems.system import System

CELL_EDGE = 5.428  # angstrom, cubic cell of 8 atoms
# eV per atom of diamond at that edge, from the potential itself. The paper quotes
# -277.22 eV for 64 atoms, which belongs to an edge of 5.482.
DIAMOND = -4.336503155764
SOURCE = "diamond at a cell edge of 5.428 angstrom, from the potential"
CELLS = {8: 1, 64: 2, 216: 3}
NAMES = [f"SW-Si{atoms}" for atoms in CELLS]


def build(name: str) -> System | None:
    """The crystal of that name, or `None` if the name is of another family.

    **Raises:** `ValueError` for a number of atoms that is no cube of cells.
    """
    match = re.fullmatch(r"SW-Si(\d+)", name)
    if match is None:
        return None
    atoms = int(match[1])
    if atoms not in CELLS:
        raise ValueError(f"{name!r}: choose one of {', '.join(NAMES)}")
    potential = StillingerWeber(images=1 if CELLS[atoms] == 1 else 0)
    length = float(potential.sigma) * 2 ** (1 / 6)
    return System(
        name=name,
        potential=potential,
        species=[0] * atoms,
        box=[CELLS[atoms] * CELL_EDGE] * 3,
        start=HarmonicStart(),
        length=length,
        energy_unit=1.0,
        energy_scale=-DIAMOND * atoms,
        reference=DIAMOND * atoms,
        tolerance=5e-3,
        elements=("Si",),
        reference_source=SOURCE,
    )
