"""Which atoms of a structure touch, whatever their elements."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.data.vdw_alvarez import vdw_radii
from ase.geometry import get_distances

from hopgym.connectivity import NEIGHBOUR_DISTANCE

OVERLAP = 0.5  # of bond lengths


def are_in_contact(atoms: Atoms) -> bool:
    """Whether the atoms are connected by chains of pairs that touch.

    Two atoms touch within the sum of their van der Waals radii (S. Alvarez, Dalton
    Trans. 42, 8617 (2013)); atoms without a known one within 1.6 bond lengths. Atoms
    `"X"` are never apart.
    """
    radii = get_contact_radii(atoms)
    _, distances = get_distances(atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    near = distances <= radii[:, None] + radii
    reached = np.zeros(len(atoms), bool)
    reached[0] = True
    while True:
        further = reached | np.any(near[reached], axis=0)
        if np.array_equal(further, reached):
            return bool(np.all(reached))
        reached = further


def have_overlap(atoms: Atoms) -> bool:
    """Whether two atoms are closer than half the sum of their covalent radii.

    Machine-learned potentials know no such structures, and some of them have energies
    far below those of all minima there. Atoms `"X"` do not overlap.
    """
    numbers = atoms.get_atomic_numbers()
    radii = np.where(numbers == 0, 0.0, OVERLAP * covalent_radii[numbers])
    _, distances = get_distances(atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    np.fill_diagonal(distances, np.inf)
    return bool(np.any(distances < radii[:, None] + radii))


def get_contact_radii(atoms: Atoms) -> np.ndarray:
    """Radii whose sum is the distance up to which two atoms touch, in angstrom."""
    numbers = atoms.get_atomic_numbers()
    bonded = NEIGHBOUR_DISTANCE * covalent_radii[numbers]
    known = vdw_radii[np.minimum(numbers, len(vdw_radii) - 1)]
    radii = np.where(np.isnan(known), bonded, known)
    return np.where(numbers == 0, np.inf, radii)
