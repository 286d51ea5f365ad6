"""Which atoms of a structure touch, whatever their elements."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.data.vdw_alvarez import vdw_radii
from scipy.sparse.csgraph import connected_components

from hopgym.connectivity import NEIGHBOUR_DISTANCE

OVERLAP = 0.5  # of bond lengths


def are_in_contact(atoms: Atoms) -> bool:
    """Whether the atoms are connected by chains of pairs that touch.

    Two atoms touch within the sum of their van der Waals radii (S. Alvarez, Dalton
    Trans. 42, 8617 (2013)); atoms without a known one within 1.6 bond lengths. Atoms
    `"X"` are never apart.
    """
    radii = get_contact_radii(atoms)
    near = atoms.get_all_distances(mic=True) <= radii[:, None] + radii
    return connected_components(near, return_labels=False) == 1


def have_overlap(atoms: Atoms) -> bool:
    """Whether two atoms are closer than half the sum of their covalent radii.

    Machine-learned potentials know no such structures, and some of them have energies
    far below those of all minima there. Atoms `"X"` do not overlap.
    """
    numbers = atoms.get_atomic_numbers()
    radii = np.where(numbers == 0, 0.0, OVERLAP * covalent_radii[numbers])
    distances = atoms.get_all_distances(mic=True)
    np.fill_diagonal(distances, np.inf)
    return bool(np.any(distances < radii[:, None] + radii))


def get_contact_radii(atoms: Atoms) -> np.ndarray:
    """Radii whose sum is the distance up to which two atoms touch, in angstrom."""
    numbers = atoms.get_atomic_numbers()
    bonded = NEIGHBOUR_DISTANCE * covalent_radii[numbers]
    known = vdw_radii[np.minimum(numbers, len(vdw_radii) - 1)]
    radii = np.where(np.isnan(known), bonded, known)
    return np.where(numbers == 0, np.inf, radii)
