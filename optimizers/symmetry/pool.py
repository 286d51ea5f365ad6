"""The atoms of a cluster while it is completed: orbits that come and go."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt32

from hopgym._batching import choose_tree
from hopgym.optimizers.symmetry.orbits import Orbit
from hopgym.optimizers.symmetry.random_numbers import draw
from hopgym.optimizers.symmetry.scores import FAR, keep_first, score_points

ORBIT_NOISE = 1.0  # of the score by which orbits leave
WORST = -1e9  # lower than any score


class Pool(eqx.Module):
    """Atoms in units of length, ordered by orbits, and the next random numbers.

    **Attributes:**

    - `points`, `species`: the atoms; places beyond `size` are empty and far away.
    - `size`: number of atoms.
    - `begins`, `sizes`: first atom and number of atoms of each orbit.
    - `count`: number of orbits.
    - `round`: of the random numbers that are drawn next.
    """

    points: Float[Array, "places 3"]
    species: Int[Array, " places"]
    size: Int[Array, ""]
    begins: Int[Array, " places"]
    sizes: Int[Array, " places"]
    count: Int[Array, ""]
    round: Int[Array, ""]


def make_pool(places: int, round: Int[Array, ""], dtype) -> Pool:
    """Make an empty pool."""
    zero, none = jnp.zeros((), jnp.int32), jnp.zeros(places, jnp.int32)
    points = jnp.full((places, 3), FAR, dtype)
    return Pool(points, none, zero, none, none, zero, round)


def add_orbit(pool: Pool, orbit: Orbit, species: Int[Array, ""]) -> Pool:
    """Add an orbit of atoms of a species; there must be room."""
    index = jnp.arange(len(orbit.images))
    places = jnp.where(index < orbit.size, pool.size + index, len(pool.points))
    return Pool(
        points=pool.points.at[places].set(orbit.images, mode="drop"),
        species=pool.species.at[places].set(species, mode="drop"),
        size=pool.size + orbit.size,
        begins=pool.begins.at[pool.count].set(pool.size, mode="drop"),
        sizes=pool.sizes.at[pool.count].set(orbit.size, mode="drop"),
        count=pool.count + 1,
        round=pool.round,
    )


def remove_orbit(pool: Pool, orbit: Int[Array, ""]) -> Pool:
    """Remove an orbit by its number; none for -1."""
    size = jnp.where(orbit < 0, 0, pool.sizes[orbit])
    gone = (orbit >= 0).astype(jnp.int32)
    index = jnp.arange(len(pool.points))
    atoms = jnp.where(index >= pool.begins[orbit], index + size, index)
    orbits = jnp.where(index >= orbit, index + gone, index)
    begins = pool.begins.at[orbits].get(mode="clip")
    left = pool.size - size
    return Pool(
        points=keep_first(pool.points.at[atoms].get(mode="clip"), left),
        species=pool.species.at[atoms].get(mode="clip"),
        size=left,
        begins=jnp.where(orbits > index, begins - size, begins),
        sizes=pool.sizes.at[orbits].get(mode="clip"),
        count=pool.count - gone,
        round=pool.round,
    )


def split_orbits(pool: Pool) -> Pool:
    """Make every atom an orbit."""
    return eqx.tree_at(
        lambda p: (p.begins, p.sizes, p.count),
        pool,
        (
            jnp.arange(len(pool.points), dtype=jnp.int32),
            jnp.ones_like(pool.sizes),
            pool.size,
        ),
    )


def find_weakest_orbit(
    pool: Pool,
    species: Int[Array, ""] | int,
    most: Int[Array, ""] | int,
    seed: UInt32[Array, "2"],
) -> tuple[Int[Array, ""], Pool]:
    """Find the orbit whose atoms are bound worst, up to a random part of the score.

    **Arguments:**

    - `species`: of the orbit; -1 for any.
    - `most`: largest size of the orbit.
    - `seed`: of the random numbers.

    **Returns:** its number, or -1, and the pool with the next round.
    """
    index = jnp.arange(len(pool.points))
    first = pool.points[pool.begins]
    noise = draw(seed, pool.round, index, first.dtype)
    scores = score_points(first, pool.points) + ORBIT_NOISE * noise
    fits = (index < pool.count) & (pool.sizes <= most)
    fits = fits & ((species < 0) | (pool.species[pool.begins] == species))
    scores = jnp.where(fits, scores, WORST)
    weakest = jnp.argmax(scores)
    weakest = jnp.where(scores[weakest] > WORST, weakest, -1).astype(jnp.int32)
    return weakest, skip_round(pool)


def skip_round(pool: Pool) -> Pool:
    """The pool with the next round of random numbers."""
    return eqx.tree_at(lambda p: p.round, pool, pool.round + 1)


def set_species(pool: Pool, orbit: Int[Array, ""], species: Int[Array, ""]) -> Pool:
    """Change the species of the atoms of an orbit."""
    index = jnp.arange(len(pool.points))
    begin = pool.begins[orbit]
    own = (index >= begin) & (index < begin + pool.sizes[orbit])
    changed = jnp.where(own, species.astype(pool.species.dtype), pool.species)
    return eqx.tree_at(lambda p: p.species, pool, changed)


def count_gaps(
    pool: Pool, species: Int[Array, " atoms"], kinds: int
) -> Int[Array, " kinds"]:
    """Atoms of each species that are missing, negative where there are too many."""
    wanted = jnp.sum(species == jnp.arange(kinds)[:, None], axis=1)
    there = jnp.arange(len(pool.points)) < pool.size
    present = jnp.sum(there & (pool.species == jnp.arange(kinds)[:, None]), axis=1)
    return (wanted - present).astype(jnp.int32)


def exchange_orbits(pool: Pool, seed: UInt32[Array, "2"]) -> Pool:
    """Exchange the species of two random orbits of one size, if there are any."""
    index = jnp.arange(len(pool.points))
    dtype = pool.points.dtype
    exists = index < pool.count
    first = jnp.argmin(jnp.where(exists, draw(seed, pool.round, index, dtype), 2))
    pool = skip_round(pool)
    species = pool.species[pool.begins]
    fits = exists & (pool.sizes == pool.sizes[first]) & (species != species[first])
    drawn = draw(seed, pool.round, index, dtype)
    second = jnp.argmin(jnp.where(fits, drawn, 2))
    pool = skip_round(pool)
    exchanged = set_species(
        set_species(pool, first, species[second]), second, species[first]
    )
    return choose_tree(jnp.any(fits), exchanged, pool)
