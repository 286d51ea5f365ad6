"""Pair distances and sums over neighbours as dense matrices."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hopgym.potentials.base import Positions, limit_positions

# Squared distance, in units of the potential, that is given to pairs that must not
# interact: an atom with itself, or with padding.
FAR_SQUARED = 1e9

# The number of rows and columns of pair matrices is padded to a multiple of this:
# compilers process the remainder of a row without vector instructions.
ROW_MULTIPLE = 8

PaddedPositions = Float[Array, "padded 3"]


def matmul(a: Array, b: Array) -> Array:
    """Matrix product in full precision (GPUs would use TF32 by default)."""
    return jnp.dot(a, b, precision=jax.lax.Precision.HIGHEST)


def centre(positions: Positions, length: Float[Array, ""]) -> Positions:
    """Limit positions by `limit_positions` and move their mean to the origin.

    Forces are differences of sums over neighbours; fewer digits cancel near the origin.
    """
    bounded = limit_positions(positions, length)
    return bounded - jnp.mean(bounded, axis=0)


def pad(positions: Positions) -> PaddedPositions:
    """Append atoms at the origin up to a multiple of `ROW_MULTIPLE`."""
    return jnp.pad(positions, ((0, -positions.shape[0] % ROW_MULTIPLE), (0, 0)))


def pair_differences(positions: Positions) -> tuple[Array, Array, Array]:
    """x_i - x_j, y_i - y_j, z_i - z_j as three matrices `(atoms, atoms)`."""
    x, y, z = positions.T
    return x[:, None] - x, y[:, None] - y, z[:, None] - z


def squared_distances(
    positions: PaddedPositions, atoms: int, length: Float[Array, ""] | None = None
) -> Float[Array, "padded padded"]:
    """Squared pair distances; about `FAR_SQUARED` on the diagonal and for padding.

    **Arguments:**

    - `positions`: padded positions.
    - `atoms`: number of atoms without padding.
    - `length`: the potential's length, if it is not the unit of the positions.
    """
    dx, dy, dz = pair_differences(positions)
    mask = np.eye(positions.shape[0])
    mask[atoms:] = mask[:, atoms:] = 1
    far = jnp.asarray(FAR_SQUARED * mask, positions.dtype)
    if length is not None:
        far = far * (length * length).astype(positions.dtype)
    return dx * dx + dy * dy + dz * dz + far


def sum_rows(matrix: Float[Array, "rows columns"]) -> Float[Array, " rows"]:
    """Sum over columns, as a matrix product, which XLA vectorises on CPUs."""
    return matmul(matrix, jnp.ones((matrix.shape[1], 1), matrix.dtype))[:, 0]


def central_gradient(
    weights: Float[Array, "atoms atoms"], positions: Positions
) -> Positions:
    """Gradient of central forces, sum_j w_ij (r_i - r_j), as one matrix product.

    Rounding errors grow with the ratio of an atom's distance from the mean position to
    its neighbour distances: they matter for fragments that are far apart.

    **Arguments:**

    - `weights`: symmetric matrix w.
    - `positions`: positions r.
    """
    ones = jnp.ones((positions.shape[0], 1), positions.dtype)
    sums = matmul(weights, jnp.concatenate([positions, ones], axis=1))
    return sums[:, 3:] * positions - sums[:, :3]


def soften_distances(squared: Array, core: float | Array) -> Array:
    """Distances r with a soft core, from their squares.

    For r >= core the result is r. Inside it is core/2 + r^2 / (2 core): continuously
    differentiable and never zero, so that no function of it is singular. Its gradient
    is the difference vector divided by max(result, core).
    """
    # (core^2 + r^2)^2 = 4 core^2 r^2 + (core^2 - r^2)^2. A single square root at the
    # end: XLA stores the results of such operations and recomputes all others.
    inside = jnp.maximum(core * core - squared, 0) * (0.5 / core)
    return jnp.sqrt(squared + inside * inside)
