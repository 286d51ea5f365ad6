"""Point groups of clusters, and space groups of crystals, using pymatgen."""

from __future__ import annotations

import importlib.util
import warnings
from typing import Any

import numpy as np
from jaxtyping import Float

from hopgym.cell import Cell
from hopgym.minima.point_group import UNKNOWN, find_point_group

# Largest deviation of atoms from a symmetric structure, in angstrom. Clusters (not
# crystals) are first scaled to a nearest-neighbour distance of BOND_LENGTH.
TOLERANCE = 0.1
BOND_LENGTH = 2.9


def find_symmetry(system: Any, positions: Float[np.ndarray, "atoms 3"]) -> str:
    """Schoenflies symbol of a cluster, or Hermann-Mauguin symbol of a crystal.

    Empty if there is no answer, as for slabs; that of a crystal needs pymatgen.

    **Arguments:**

    - `system`: a [`hopgym.context.SystemInfo`][] with `symbols`.
    - `positions`: of its atoms.
    """
    if system.box is None:
        scaled = positions * (BOND_LENGTH / float(system.length))
        return find_point_group(scaled, np.asarray(system.species), TOLERANCE)
    periodic = not isinstance(system.box, Cell) or all(system.box.periodic)
    if not periodic or importlib.util.find_spec("pymatgen") is None:
        return UNKNOWN
    from pymatgen.core import Lattice, Structure
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    # pymatgen needs chemical elements.
    symbols = ["Ar" if symbol == "X" else symbol for symbol in system.symbols]
    if isinstance(system.box, Cell):
        lattice = Lattice(np.asarray(system.box.vectors, float))
    else:
        lattice = Lattice.orthorhombic(*np.asarray(system.box, float))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # spglib's deprecations
            crystal = Structure(lattice, symbols, positions, coords_are_cartesian=True)
            return SpacegroupAnalyzer(crystal, TOLERANCE).get_space_group_symbol()
    except (ArithmeticError, LookupError, ValueError):
        return UNKNOWN
