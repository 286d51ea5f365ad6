"""Point groups of clusters and space groups of crystals, where pymatgen is there."""

from __future__ import annotations

import importlib.util
import warnings

import numpy as np
from jaxtyping import Float

from hopgym.systems import System

# Angstrom, for clusters scaled to nearest neighbours at BOND and for crystals as they
# are: atoms this near to where a symmetry would have them count as being there.
TOLERANCE = 0.1
BOND = 2.9
UNKNOWN = ""


def symmetry(system: System, positions: Float[np.ndarray, "atoms 3"]) -> str:
    """Schoenflies symbol of a cluster, or Hermann-Mauguin symbol of a crystal.

    Empty if pymatgen is not installed or finds none.
    """
    if importlib.util.find_spec("pymatgen") is None:
        return UNKNOWN
    from pymatgen.core import Lattice, Molecule, Structure
    from pymatgen.symmetry.analyzer import PointGroupAnalyzer, SpacegroupAnalyzer

    # pymatgen knows no atoms in reduced units.
    symbols = ["Ar" if symbol == "X" else symbol for symbol in system.symbols]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # spglib's, of how pymatgen calls it
            if system.box is not None:
                lattice = Lattice.orthorhombic(*np.asarray(system.box, float))
                crystal = Structure(
                    lattice, symbols, positions, coords_are_cartesian=True
                )
                return SpacegroupAnalyzer(crystal, TOLERANCE).get_space_group_symbol()
            scaled = positions * (BOND / float(system.length))
            return PointGroupAnalyzer(Molecule(symbols, scaled), TOLERANCE).sch_symbol
    except (ArithmeticError, LookupError, ValueError):
        return UNKNOWN
