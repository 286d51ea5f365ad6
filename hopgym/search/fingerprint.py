"""Numbers that structures have in common if they differ in nothing that matters."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

CONTRAST = 0.5  # between the weights of two species


def fingerprints(
    positions: Float[np.ndarray, "structures atoms 3"],
    species: Int[np.ndarray, " atoms"],
    length: float,
    box: Float[np.ndarray, "3"] | None = None,
) -> Float[np.ndarray, "structures atoms"]:
    """Eigenvalues, in descending order, of w_i w_j exp[-(r_ij / length)^2 / 2].

    The overlaps of Gaussians at the atoms, after Sadeghi, Ghasemi, Schaefer, Mohr,
    Lill and Goedecker, J. Chem. Phys. 139, 184118 (2013). They do not change when a
    structure is moved, turned or reflected or when atoms of a species change places,
    and change as little as the positions do. In a box distances are those of nearest
    images.

    **Arguments:**

    - `positions`: of the structures.
    - `species`: index of each atom's species, which sets its weight w.
    - `length`: a nearest-neighbour distance.
    - `box`: edges of the periodic box.
    """
    apart = np.asarray(positions, float)
    apart = apart[:, :, None] - apart[:, None]
    if box is not None:
        apart -= box * np.round(apart / box)
    squared = np.sum(apart**2, axis=-1) / length**2
    weights = 1 + CONTRAST * np.asarray(species)
    overlaps = weights[:, None] * weights * np.exp(-squared / 2)
    return np.linalg.eigvalsh(overlaps)[:, ::-1]
