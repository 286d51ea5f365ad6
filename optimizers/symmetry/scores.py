"""Points of a cluster in units of length, and the score of places among them."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

FAR = 1e6  # coordinates of empty places
LIMIT = 1e5  # of the coordinates of atoms: far from empty places
OVERLAP = 30.0  # score of two points at less than 0.84 lengths
SHELLS = ((1.9, -0.2), (1.5, -0.6), (1.25, -1.0), (0.7, OVERLAP))  # inner ones last
REACH, WELL = 4.9, -0.08  # square of the range beyond the shells, and depth there


def score_pairs(squares: Float[Array, "..."]) -> Float[Array, "..."]:
    """Score of pairs of points: a step function that counts neighbours.

    -1 for nearest neighbours (below 1.12 lengths), less beyond, 0 from 2.2 lengths on,
    and a large positive number for an overlap. The lower, the better bound.

    **Arguments:**

    - `squares`: of the distances, in squares of the length.
    """
    reach = jnp.maximum(REACH - squares, 0) * (1 / 3)
    score = reach * reach * WELL
    for limit, value in SHELLS:
        score = jnp.where(squares < limit, value, score)
    return score


def get_squares(
    points: Float[Array, "points 3"], others: Float[Array, "others 3"]
) -> Float[Array, "points others"]:
    """Squares of the distances of points from others.

    Not by a matrix product, which would be inaccurate.
    """
    return jnp.sum((points[:, None] - others) ** 2, axis=-1)


def score_points(
    points: Float[Array, "points 3"], others: Float[Array, "others 3"]
) -> Float[Array, " points"]:
    """Sum of the scores of each point with all others, and with itself among them."""
    return jnp.sum(score_pairs(get_squares(points, others)), axis=1)


def has_any_within(
    points: Float[Array, "points 3"], others: Float[Array, "others 3"], limit: float
) -> Bool[Array, " points"]:
    """Whether any of the others is nearer than the root of `limit`."""
    return jnp.any(get_squares(points, others) < limit, axis=1)


def keep_first(
    points: Float[Array, "places 3"], count: Int[Array, ""]
) -> Float[Array, "places 3"]:
    """Make all places but the first `count` empty."""
    return jnp.where(jnp.arange(len(points))[:, None] < count, points, FAR)


def get_direction(
    height: Float[Array, "..."], turn: Float[Array, "..."]
) -> Float[Array, "... 3"]:
    """Uniform directions, from two uniform numbers in [0, 1)."""
    z = 2 * height - 1
    radius = jnp.sqrt(jnp.maximum(1 - z * z, 0))
    angle = 2 * math.pi * turn
    return jnp.stack([radius * jnp.cos(angle), radius * jnp.sin(angle), z], axis=-1)


def apply(
    matrices: Float[Array, "... 3 3"], points: Float[Array, "... 3"]
) -> Float[Array, "... 3"]:
    """Products of matrices and points, in full precision on any device."""
    return jnp.sum(matrices * points[..., None, :], axis=-1)


def find_rank(mask: Bool[Array, " places"], rank: Int[Array, ""]) -> Int[Array, ""]:
    """The place of a rank, from 0 on, among those where `mask` holds."""
    return jnp.argmax(mask & (jnp.cumsum(mask) > rank))


def pick(drawn: Float[Array, "..."], count: Int[Array, ""] | int) -> Int[Array, "..."]:
    """A number from 0 to `count - 1`, from a uniform number in [0, 1)."""
    scaled = (drawn * jnp.asarray(count).astype(drawn.dtype)).astype(jnp.int32)
    return jnp.minimum(jnp.asarray(count).astype(jnp.int32) - 1, scaled)
