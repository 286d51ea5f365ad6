"""Symmetrisation: a sector of a cluster is repeated about one of its axes.

After Oakley, Johnston and Wales, Phys. Chem. Chem. Phys. 15, 3965 (2013). All lengths
are in units of length.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt32

from hopgym.optimizers.symmetry.orbits import MERGED
from hopgym.optimizers.symmetry.random_numbers import draw
from hopgym.optimizers.symmetry.scores import (
    FAR,
    find_rank,
    get_direction,
    get_squares,
    pick,
)
from hopgym.optimizers.symmetry.vacant_sites import NEIGHBOUR

AXIS = 0.35  # distance from the axis of an atom that is on it
OVERHANG = 0.3  # of a sector
FOLDS = (2, 3, 5, 5, 3, 4, 6, 1)  # with equal probability
TRIED_CENTRES = 8
SHIFTED = 0.3  # probability of an axis through the central atom
MIRROR = 0.25  # probability that a sector is half as large, and has mirror images
SHORT = 0.1  # a vector as short has no direction
SECTOR_DRAWS = 40  # index from which on random numbers are for the sector


class Axis(NamedTuple):
    """A line.

    **Attributes:**

    - `origin`: a point of it.
    - `direction`: a unit vector.
    """

    origin: Float[Array, "3"]
    direction: Float[Array, "3"]


def repeat_sector(
    atoms: Float[Array, "atoms 3"],
    most: int,
    seed: UInt32[Array, "2"],
    round: int,
) -> tuple[Float[Array, "most 3"], Int[Array, ""], Float[Array, "3"]]:
    """Repeat a random sector of a cluster about a random axis.

    Atoms within 0.35 of the axis are put on it. Of places within 0.6 of each other the
    first remains: first those on the axis, then the images of atoms in the sector, then
    those of atoms up to 0.3 outside.

    **Arguments:**

    - `atoms`: the cluster.
    - `most`: largest number of places.
    - `seed`, `round`: random numbers.

    **Returns:** the places relative to a point of the axis, their number, and that
    point.
    """
    axis = _choose_axis(atoms, seed, round)
    candidates, good = _list_images(atoms, axis, seed, round)

    def add(carry):
        places, count, left = carry
        first = candidates[jnp.argmax(left)]
        apart = ~(get_squares(first[None], candidates)[0] < MERGED)
        return places.at[count].set(first), count + 1, left & apart

    empty = jnp.full((most, 3), FAR, atoms.dtype)
    places, count, _ = jax.lax.while_loop(
        lambda carry: jnp.any(carry[2]) & (carry[1] < most),
        add,
        (empty, jnp.zeros((), jnp.int32), good),
    )
    return places, count, axis.origin


def _list_images(
    atoms, axis, seed, round
) -> tuple[Float[Array, "images 3"], Bool[Array, " images"]]:
    """Atoms on the axis, and all images of the others, the first to be kept first."""
    drawn = draw(seed, round, SECTOR_DRAWS + jnp.arange(3), atoms.dtype)
    fold = jnp.array(FOLDS)[pick(drawn[0], len(FOLDS))]
    turn = 2 * math.pi * drawn[1]
    mirror = (fold == 1) | (drawn[2] < MIRROR)
    up = axis.direction
    unit = jnp.eye(3, dtype=atoms.dtype)
    side = jnp.where(jnp.abs(up[0]) < 0.8, unit[0], unit[1])
    first = _normalise(jnp.cross(up, side), side)
    second = jnp.cross(up, first)
    full = 2 * math.pi
    sector = jnp.where(mirror, math.pi, full) / fold.astype(atoms.dtype)

    apart = atoms - axis.origin
    a, b = _dot(apart, first), _dot(apart, second)
    radius = jnp.sqrt(a * a + b * b)
    on_axis = ~(radius >= AXIS)
    projected = _dot(apart, up)[:, None] * up
    angle = jnp.arctan2(b, a) - turn
    angle = angle - full * jnp.floor(angle / full)
    inside = ~on_axis & (angle < sector)
    edge = OVERHANG / jnp.where(on_axis, 1, radius)
    beside = (angle < sector + edge) | (angle > full - edge)
    outside = ~on_axis & ~inside & beside

    # Atoms inside come before those outside.
    order = jnp.argsort(jnp.where(inside, 0, jnp.where(outside, 1, 2)), stable=True)
    used, apart = (inside | outside)[order], apart[order]
    normal = jnp.cos(turn) * second - jnp.sin(turn) * first
    reflected = apart - (2 * _dot(apart, normal))[:, None] * normal
    turns = jnp.arange(max(FOLDS))
    angles = 2 * math.pi * turns / fold.astype(atoms.dtype)
    both = jnp.stack([apart, reflected], axis=1)
    images = _rotate(both[:, None], up, angles[:, None, None])
    made = (turns < fold)[:, None] & jnp.stack([jnp.ones_like(mirror), mirror])
    return (
        jnp.concatenate([projected, images.reshape(-1, 3)]),
        jnp.concatenate([on_axis, (used[:, None, None] & made).reshape(-1)]),
    )


def _choose_axis(atoms, seed, round) -> Axis:
    """An axis through an atom, a bond or three atoms, or along a bond.

    The first three also go through the centroid, or are parallel to such an axis and go
    through the atom next to the centroid. The last one is near the centroid.
    """
    drawn = draw(seed, round, jnp.arange(10 + 2 * TRIED_CENTRES), atoms.dtype)
    centroid = jnp.mean(atoms, axis=0)
    kind = pick(drawn[0], 4)
    squares = get_squares(centroid[None], atoms)[0]
    picked = pick(drawn[1], len(atoms))
    tried = pick(drawn[10::2], len(atoms))
    nearness = squares[tried] * (0.3 + drawn[11::2])
    central = tried[jnp.argmin(nearness)]
    i = jnp.where(kind == 3, central, picked)
    any_direction = get_direction(drawn[2], drawn[3])

    near = (get_squares(atoms[i][None], atoms)[0] < NEIGHBOUR) & (
        jnp.arange(len(atoms)) != i
    )
    degree = jnp.sum(near)
    j, k = (find_rank(near, pick(drawn[n], degree)) for n in (4, 5))
    alone = degree == 0
    one = atoms[i] - centroid
    two = 0.5 * (atoms[i] + atoms[j]) - centroid
    three = (1 / 3) * (atoms[i] + atoms[j] + atoms[k]) - centroid
    along = atoms[j] - atoms[i]
    vectors = jnp.stack([one, two, three, along])
    direction = _normalise(
        vectors[jnp.where(alone & (kind < 3), 0, kind)], any_direction
    )
    lost = (kind == 3) & alone
    direction = jnp.where(lost, any_direction, direction)
    shift = atoms[jnp.argmin(squares)] - centroid
    shift = shift - _dot(shift, direction) * direction
    shifted = (kind != 3) & (drawn[6] < SHIFTED)
    origin = centroid + jnp.where(shifted, shift, 0)
    origin = jnp.where((kind == 3) & ~alone, atoms[i], origin)
    return Axis(origin, direction)


def _dot(a, b) -> Float[Array, "..."]:
    return jnp.sum(a * b, axis=-1)


def _normalise(vector, otherwise) -> Float[Array, "3"]:
    norm = jnp.sqrt(_dot(vector, vector))
    long = norm > SHORT
    return jnp.where(long, 1 / jnp.where(long, norm, 1) * vector, otherwise)


def _rotate(points, axis, angles) -> Float[Array, "... 3"]:
    """Rodrigues' formula; `angles` broadcast against points."""
    cosine, sine = jnp.cos(angles), jnp.sin(angles)
    along = _dot(axis, points)[..., None]
    return (
        cosine * points + sine * jnp.cross(axis, points) + (1 - cosine) * along * axis
    )
