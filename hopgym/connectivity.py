"""Whether the atoms of a structure hang together, and whether any of them overlap.

A local optimizer is content with pieces that are too far apart to feel each other, and
with atoms on one point, where forces vanish or cancel. Neither is a minimum of the
cluster.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from hopgym.potentials.base import POSITION_LIMIT, HasCore, HasCutoff
from hopgym.systems import System

# Atoms up to this distance, in units of length, are neighbours. First neighbours are at
# about 1, second ones of close-packed clusters at 1.4; a pair that is further apart
# than 1.6 is held together by other atoms or not at all.
NEIGHBOUR_DISTANCE = 1.6


def are_connected(
    positions: Float[Array, "atoms 3"],
    cutoff: Float[Array, ""] | float,
    box: Float[Array, "3"] | None = None,
) -> Bool[Array, ""]:
    """Whether all atoms are connected by chains of pairs within a distance.

    Can be jitted and batched with `jax.vmap`. A step of the search for atoms connected
    to the first one is a product of a matrix and a vector; there are as many steps as
    pairs in the longest of the shortest chains from that atom.

    **Arguments:**

    - `positions`: `Float[Array, "atoms 3"]`; with a non-finite component the atom is
      connected to no other.
    - `cutoff`: largest distance of a pair, in the unit of the positions.
    - `box`: edges of the periodic box, or `None` in free space. Distances are to
      nearest images: atoms are connected across the faces of the box.
    """
    near = (_squared_distances(positions, box) <= cutoff**2).astype(positions.dtype)
    first = jnp.zeros(len(positions), bool).at[0].set(True)

    def extend(carry):
        reached, _ = carry
        further = reached | (near @ reached.astype(near.dtype) > 0)
        return further, jnp.any(further != reached)

    reached, _ = jax.lax.while_loop(
        lambda carry: carry[1], extend, (first, jnp.asarray(True))
    )
    return jnp.all(reached)


def is_connected(system: System, positions: Float[Array, "atoms 3"]) -> Bool[Array, ""]:
    """Whether all atoms of a structure of a system are connected.

    Pairs are connected within the cutoff of the potential
    ([`hopgym.potentials.HasCutoff`][]) or, if it has none, within `NEIGHBOUR_DISTANCE`
    = 1.6 units of length. In a box, distances are to nearest images. So a crystal is
    connected unless it contains an isolated atom or piece, and two slabs are not if
    the gaps on both sides are wider than the cutoff.

    Can be jitted and batched with `jax.vmap`.
    """
    potential = system.potential
    if isinstance(potential, HasCutoff):
        cutoff = potential.cutoff
    else:
        cutoff = NEIGHBOUR_DISTANCE * system.length
    return are_connected(positions, cutoff, system.box)


def has_overlap(system: System, positions: Float[Array, "atoms 3"]) -> Bool[Array, ""]:
    """Whether a pair of atoms is within the core of the potential.

    The core is that of [`hopgym.potentials.HasCore`][]; atoms at exactly one point
    overlap in any potential. Can be jitted and batched with `jax.vmap`.
    """
    potential = system.potential
    core = potential.core_radius if isinstance(potential, HasCore) else 0.0
    squared = _squared_distances(positions, system.box)
    own = jnp.asarray(np.eye(len(positions)), bool)
    return jnp.any((squared <= core**2) & ~own)


def _squared_distances(
    positions: Float[Array, "atoms 3"], box: Float[Array, "3"] | None
) -> Float[Array, "atoms atoms"]:
    """Squared distances of all pairs, in a box to the nearest image."""
    points = jnp.clip(positions, -POSITION_LIMIT, POSITION_LIMIT)
    vectors = points[:, None] - points[None]
    if box is not None:
        vectors = vectors - box * jnp.round(vectors / box)
    return jnp.sum(vectors**2, axis=-1)
