"""Constraints of `ase.Atoms`: what optimizers must know about them."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.constraints import (
    FixAtoms,
    FixCartesian,
    FixCom,
    FixedLine,
    FixedPlane,
    FixScaled,
    Hookean,
)
from jaxtyping import Int

# Constraints that restrict each atom by itself, by a projection.
OF_SINGLE_ATOMS = (FixAtoms, FixCartesian, FixedLine, FixedPlane, FixScaled)
# Constraints that any displacement can satisfy: a common shift, and a restoring force.
OF_ANY_STRUCTURE = (FixCom, Hookean)


def count_directions(atoms: Atoms) -> Int[np.ndarray, " atoms"] | None:
    """Count the directions in which each atom may move: 0 to 3.

    Constraints that couple atoms are left out.

    **Returns:** `None` if all atoms may move in all directions.
    """
    projections = np.empty((3, len(atoms), 3))
    for axis, forces in enumerate(projections):
        forces[:] = np.eye(3)[axis]
        for constraint in atoms.constraints:
            if isinstance(constraint, OF_SINGLE_ATOMS):
                constraint.adjust_forces(atoms, forces)
    matrices = projections.transpose(1, 0, 2)
    directions = np.linalg.matrix_rank(matrices, tol=1e-6).astype(np.int32)
    return None if np.all(directions == 3) else directions


def check_for_hops(atoms: Atoms, optimizer: str) -> None:
    """Check that random moves can satisfy the constraints.

    **Arguments:**

    - `atoms`: `ase.Atoms`.
    - `optimizer`: its name, for the message.

    **Raises:** `ValueError` for constraints that couple atoms, such as bond lengths,
    or if no atom may move.
    """
    for constraint in atoms.constraints:
        if not isinstance(constraint, OF_SINGLE_ATOMS + OF_ANY_STRUCTURE):
            raise ValueError(
                f"{optimizer} makes random moves, which {type(constraint).__name__} "
                "does not allow: use a descent such as 'lbfgs', or fix atoms by "
                "ase.constraints.FixAtoms"
            )
    directions = count_directions(atoms)
    if directions is not None and not np.any(directions):
        raise ValueError(f"all atoms are fixed: {optimizer} has nothing to move")
