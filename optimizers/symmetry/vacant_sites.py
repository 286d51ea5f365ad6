"""Vacant sites of a cluster: places at distance 1 from three atoms that are neighbours.

The dynamic lattice of Shao, Cheng and Cai, J. Comput. Chem. 25, 1693 (2004), without
its optimisation of the sites. All distances are in units of length.
"""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from hopgym.optimizers.symmetry.scores import FAR, get_squares, has_any_within

MOST_NEIGHBOURS = 12  # an atom with as many has no vacant place beside it
NEIGHBOUR = 1.69  # squares of distances: neighbours,
VACANT = 0.64  # a site and the atoms,
SAME = 0.1225  # places that are one site
MARGIN = -0.3  # depth in a domain of what stands for an orbit
FLAT = 1e-4  # square of the area of three atoms on a line
LOW = 0.05  # square of the height of a site above its three atoms


def count_most_sites(atoms: int) -> int:
    """Number of places that are kept for the sites of a cluster."""
    return 3 * atoms + 64


def get_depths(
    normals: Float[Array, "planes 3"], points: Float[Array, "points 3"]
) -> Float[Array, " points"]:
    """Distances of points from the boundary of a fundamental domain, positive inside.

    **Arguments:**

    - `normals`: unit vectors normal to the planes that bound the domain, or zero.
    """
    used = jnp.any(normals != 0, axis=1)
    heights = jnp.sum(points[:, None] * normals, axis=-1)
    return jnp.min(jnp.where(used, heights, FAR), axis=1, initial=FAR)


def find_sites(
    atoms: Float[Array, "atoms 3"],
    present: Bool[Array, " atoms"],
    normals: Float[Array, "planes 3"] | None = None,
) -> tuple[Float[Array, "sites 3"], Int[Array, ""]]:
    """Find the vacant sites of a cluster.

    Places within 0.35 of the first of them become one, their mean. No place is within
    0.8 of an atom.

    **Arguments:**

    - `atoms`: positions in units of length; those that are not present are far away.
    - `present`: which of them count.
    - `normals`: of the planes of a domain (`get_depths`); sites far outside are not
      found.

    **Returns:** `3 * atoms + 64` places and the number of sites, which are the first.
    """
    places, good = _list_apexes(atoms, present)
    if normals is not None:
        good = good & (get_depths(normals, places) > MARGIN)
    good = good & ~has_any_within(places, atoms, VACANT)
    return _merge(places, good, count_most_sites(len(atoms)))


def _list_apexes(atoms, present) -> tuple[Float[Array, "n 3"], Bool[Array, " n"]]:
    """The two places at distance 1 from each three atoms that are neighbours."""
    count = len(atoms)
    index = jnp.arange(count)
    near = (get_squares(atoms, atoms) < NEIGHBOUR) & present & present[:, None]
    near = near & (index != index[:, None])
    free = jnp.sum(near, axis=1) < MOST_NEIGHBOURS
    # The neighbours of each atom that come after it, in ascending order. `count` stands
    # for none.
    later = near & (index > index[:, None]) & free & free[:, None]
    most = min(MOST_NEIGHBOURS - 1, count)
    lists = -jax.lax.top_k(-jnp.where(later, index, count), most)[0]
    pairs = np.array(list(itertools.combinations(range(most), 2)), int).reshape(-1, 2)
    j, k = lists[:, pairs[:, 0]], lists[:, pairs[:, 1]]
    given = (j < count) & (k < count)
    j, k = jnp.minimum(j, count - 1), jnp.minimum(k, count - 1)
    origin = atoms[:, None]
    ab, ac = atoms[j] - origin, atoms[k] - origin
    exists = (given & near[j, k])[..., None]

    normal = jnp.cross(ab, ac)
    area = _dot(normal, normal)
    exists = exists & (area > FLAT)
    area = jnp.where(exists, area, 1)
    centre = _dot(ab, ab) * jnp.cross(ac, normal) + _dot(ac, ac) * jnp.cross(normal, ab)
    centre = 1 / (2 * area) * centre
    height = 1 - _dot(centre, centre)
    exists = exists & (height > LOW)
    up = jnp.sqrt(jnp.where(exists, height / area, 1)) * normal
    places = jnp.stack([origin + centre - up, origin + centre + up], axis=2)
    exists = jnp.broadcast_to(exists[..., None, :], (*places.shape[:3], 1))
    places = jnp.where(exists, places, FAR)
    return places.reshape(-1, 3), exists.reshape(-1)


def _merge(places, good, most) -> tuple[Float[Array, "sites 3"], Int[Array, ""]]:
    """Let each place, in their order, become a site with all later ones near it."""

    def add(carry):
        sites, count, left = carry
        first = places[jnp.argmax(left)]
        joined = left & (get_squares(first[None], places)[0] < SAME)
        share = 1 / jnp.sum(joined).astype(places.dtype)
        mean = share * jnp.sum(jnp.where(joined[:, None], places, 0), axis=0)
        return sites.at[count].set(mean), count + 1, left & ~joined

    empty = jnp.full((most, 3), FAR, places.dtype)
    sites, count, _ = jax.lax.while_loop(
        lambda carry: jnp.any(carry[2]) & (carry[1] < most),
        add,
        (empty, jnp.zeros((), jnp.int32), good),
    )
    return sites, count


def _dot(a, b) -> Float[Array, "... 1"]:
    return jnp.sum(a * b, axis=-1, keepdims=True)
