"""Orbits of a point group: points and their images."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from hopgym.optimizers.symmetry.scores import (
    FAR,
    apply,
    get_direction,
    get_squares,
    score_pairs,
)

MERGED = 0.36  # squares of distances: images that are one atom,
CROWDED = 0.64  # and images that are too near
CENTRAL = 1e-4  # length of a normal that does not count


class Orbit(NamedTuple):
    """The images of a point, those that are near each other as one.

    **Attributes:**

    - `images`: the images, the first of them the point or what it became; far away
      beyond `size`.
    - `size`: number of images.
    """

    images: Float[Array, "most 3"]
    size: Int[Array, ""]


def find_orbit(
    point: Float[Array, "3"],
    operations: Float[Array, "most 3 3"],
    order: Int[Array, ""],
) -> Orbit:
    """Find the orbit of a point.

    A point within 0.6 of images of it moves to the middle of them, which is on an
    element of symmetry.

    **Arguments:**

    - `point`: in units of length.
    - `operations`: orthogonal matrices, of which the first `order` count.
    """
    most = len(operations)
    counts = jnp.arange(most) < order
    images = apply(operations, point)
    near = counts & (get_squares(point[None], images)[0] < MERGED)
    share = 1 / jnp.maximum(jnp.sum(near), 1).astype(point.dtype)
    point = share * jnp.sum(jnp.where(near[:, None], images, 0), axis=0)
    images = apply(operations, point)
    close = get_squares(images, images) < MERGED

    def keep(k, kept):
        return kept.at[k].set(counts[k] & ~jnp.any(kept & close[k]))

    kept = jax.lax.fori_loop(0, most, keep, jnp.zeros(most, bool))
    size = jnp.sum(kept, dtype=jnp.int32)
    places = jnp.where(kept, jnp.cumsum(kept) - 1, most)
    empty = jnp.full_like(images, FAR)
    return Orbit(empty.at[places].set(images, mode="drop"), size)


def is_crowded(orbit: Orbit) -> Bool[Array, ""]:
    """Whether two images are within 0.8 of each other."""
    index = jnp.arange(len(orbit.images))
    different = (index < index[:, None]) & (index[:, None] < orbit.size)
    return jnp.any(different & (get_squares(orbit.images, orbit.images) < CROWDED))


def score_itself(orbit: Orbit) -> Float[Array, ""]:
    """Half of the score of the first image with the others."""
    index = jnp.arange(len(orbit.images))
    scores = score_pairs(get_squares(orbit.images[:1], orbit.images)[0]) / 2
    return jnp.sum(jnp.where((index > 0) & (index < orbit.size), scores, 0))


def find_domain(
    height: Float[Array, ""],
    turn: Float[Array, ""],
    operations: Float[Array, "most 3 3"],
    order: Int[Array, ""],
) -> Float[Array, "most 3"]:
    """Normals of the half-spaces nearer to a random direction than to its images.

    Their intersection is a fundamental domain. Zero for no half-space.

    **Arguments:**

    - `height`, `turn`: uniform numbers in [0, 1).
    - `operations`, `order`: as for `find_orbit`.
    """
    direction = get_direction(height, turn)
    apart = direction - apply(operations, direction)
    norms = jnp.sqrt(jnp.sum(apart * apart, axis=1))
    index = jnp.arange(len(operations))
    used = (index > 0) & (index < order) & (norms > CENTRAL)
    normals = (1 / jnp.where(used, norms, 1))[:, None] * apart
    return jnp.where(used[:, None], normals, 0)
