"""Fingerprints: invariants that identify equal structures."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from hopgym.cell import Cell

SPECIES_CONTRAST = 0.5  # difference between the weights of successive species


def compute_fingerprints(
    positions: Float[np.ndarray, "structures atoms 3"],
    species: Int[np.ndarray, " atoms"],
    length: float,
    box: Float[Array | np.ndarray, "3"] | Cell | None = None,
) -> Float[np.ndarray, "structures atoms"]:
    """Eigenvalues, in descending order, of w_i w_j exp[-(r_ij / length)^2 / 2].

    The matrix consists of overlaps of Gaussians at the atoms, after Sadeghi, Ghasemi,
    Schaefer, Mohr, Lill and Goedecker, J. Chem. Phys. 139, 184118 (2013). The
    eigenvalues are invariant under translation, rotation, reflection and permutation of
    atoms of a species, and continuous in the positions. In a box, distances are to
    nearest images.

    **Arguments:**

    - `positions`: `Float[ndarray, "structures atoms 3"]`.
    - `species`: index of each atom's species, which sets its weight w.
    - `length`: a nearest-neighbour distance, in the unit of the positions.
    - `box`: edges of the periodic box, a [`hopgym.cell.Cell`][], or `None` in free
      space.

    **Returns:** `Float[ndarray, "structures atoms"]`.
    """
    points = np.asarray(positions, float)
    vectors = points[:, :, None] - points[:, None]
    if isinstance(box, Cell):
        with jax.enable_x64(True):
            vectors = np.asarray(box.find_nearest_images(jnp.asarray(vectors)))
    elif box is not None:
        edges = np.asarray(box, float)
        vectors -= edges * np.round(vectors / edges)
    squared = np.sum(vectors**2, axis=-1) / length**2
    weights = 1 + SPECIES_CONTRAST * np.asarray(species)
    overlaps = weights[:, None] * weights * np.exp(-squared / 2)
    return np.linalg.eigvalsh(overlaps)[:, ::-1]
