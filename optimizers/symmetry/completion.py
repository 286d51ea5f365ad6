"""Symmetric completion: a cluster of whole orbits of a point group.

The cluster has as many atoms of each species as the system. The orbits of atoms in a
fundamental domain are repeated; orbits that are bound badly leave where there are too
many atoms, and vacant orbits are filled where there are too few. What is left over for
lack of orbits of the right size are single atoms. All lengths are in units of length.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt32

from hopgym._batching import choose_tree
from hopgym.optimizers.symmetry.orbits import (
    CROWDED,
    Orbit,
    find_domain,
    find_orbit,
    is_crowded,
    score_itself,
)
from hopgym.optimizers.symmetry.pool import (
    Pool,
    add_orbit,
    count_gaps,
    exchange_orbits,
    find_weakest_orbit,
    make_pool,
    remove_orbit,
    set_species,
    skip_round,
    split_orbits,
)
from hopgym.optimizers.symmetry.random_numbers import draw
from hopgym.optimizers.symmetry.scores import (
    apply,
    has_any_within,
    score_points,
)
from hopgym.optimizers.symmetry.vacant_sites import MARGIN, find_sites, get_depths

CLASH = 0.4225  # square of the distance of an orbit and the atoms that are there
SURPLUS = 64  # atoms above their number before the weakest leave
SITE_NOISE = 0.15  # of the score by which orbits of sites are filled,
ATOM_NOISE = 0.5  # single sites,
DEPTH_NOISE = 0.1  # and of the depth by which orbits of atoms come first
BEST = 1e9  # higher than any score


class Subspace(eqx.Module):
    """Structures with a symmetry and a composition.

    **Attributes:**

    - `operations`: orthogonal matrices of the group, the identity first.
    - `order`: how many of them count.
    - `frame`: orthogonal matrix that takes positions to the frame of the operations.
    - `species`: of each atom of the system.
    - `kinds`: number of species.
    """

    operations: Float[Array, "most 3 3"]
    order: Int[Array, ""]
    frame: Float[Array, "3 3"]
    species: Int[Array, " atoms"]
    kinds: int = eqx.field(static=True)


def complete(
    atoms: Float[Array, "atoms 3"],
    subspace: Subspace,
    seed: UInt32[Array, "2"],
    round: Int[Array, ""],
    *,
    drop: Int[Array, ""],
    exchange: Bool[Array, ""],
) -> tuple[Bool[Array, ""], Float[Array, "atoms 3"]]:
    """Complete a cluster in a subspace.

    **Arguments:**

    - `atoms`: the cluster.
    - `subspace`: symmetry and composition.
    - `seed`, `round`: random numbers; those of later rounds are drawn too.
    - `drop`: number of weakly bound orbits that leave first.
    - `exchange`: whether two orbits exchange their species.

    **Returns:** whether there was room for all atoms, and the atoms, which are not
    meaningful if there was not.
    """
    operations, order = subspace.operations, subspace.order
    count = len(atoms)
    height, turn = draw(seed, round, jnp.arange(2), atoms.dtype)
    normals = find_domain(height, turn, operations, order)
    pool = _collect(atoms, subspace, normals, seed, round + 1)
    enough = pool.size >= max(min(3, count), count // 4)
    # An empty pool makes all loops end at once.
    pool = eqx.tree_at(lambda p: p.count, pool, jnp.where(enough, pool.count, 0))
    exchanged = exchange_orbits(pool, seed)
    pool = choose_tree(exchange, exchanged, pool)
    pool = _drop(pool, drop, seed)
    gaps = count_gaps(pool, subspace.species, subspace.kinds)
    pool, gaps = _remove_surplus(pool, gaps, enough, seed)
    pool, filled = _fill_gaps(pool, gaps, count, enough, normals, subspace, seed)
    return filled & (pool.size == count), _restore(pool, subspace)


def _collect(atoms, subspace, normals, seed, round) -> Pool:
    """The orbits of the atoms in the domain, the innermost first."""
    count, most = len(atoms), len(subspace.operations)
    points = apply(subspace.frame, atoms)
    depths = get_depths(normals, points)
    inside = depths > MARGIN
    noise = DEPTH_NOISE * draw(seed, round, jnp.arange(count), atoms.dtype)
    order = jnp.argsort(jnp.where(inside, noise - depths, jnp.inf), stable=True)
    orbits = jax.vmap(find_orbit, (0, None, None))(
        points[order], subspace.operations, subspace.order
    )
    species = subspace.species[order]

    def add(k, pool):
        orbit = jax.tree.map(lambda x: x[k], orbits)
        near = has_any_within(orbit.images, pool.points, CLASH)
        clash = jnp.any(near & (jnp.arange(most) < orbit.size))
        good = ~clash & (pool.size <= count + SURPLUS)
        added = add_orbit(pool, orbit, species[k])
        return choose_tree(good, added, pool)

    pool = make_pool(count + SURPLUS + most, round + 1, atoms.dtype)
    return jax.lax.fori_loop(0, jnp.sum(inside), add, pool)


def _drop(pool, drop, seed) -> Pool:
    """Remove weakly bound orbits, but not the last one."""

    def remove(carry):
        pool, k = carry
        weakest, pool = find_weakest_orbit(pool, -1, len(pool.points), seed)
        return remove_orbit(pool, weakest), k + 1

    return jax.lax.while_loop(
        lambda carry: (carry[1] < drop) & (carry[0].count > 1),
        remove,
        (pool, jnp.zeros((), jnp.int32)),
    )[0]


def _remove_surplus(pool, gaps, enough, seed) -> tuple[Pool, Int[Array, " kinds"]]:
    """Let atoms of which there are too many become another species, or leave.

    An orbit if one is small enough, else atoms one by one.
    """

    def remove(carry):
        pool, gaps = carry
        s = jnp.argmax(gaps < 0)
        o, pool = find_weakest_orbit(pool, s, -gaps[s], seed)
        size = jnp.where(o < 0, 0, pool.sizes[o])
        room = gaps >= size
        other = jnp.argmax(room)
        pool = choose_tree(
            o < 0,
            split_orbits(pool),
            choose_tree(
                jnp.any(room), set_species(pool, o, other), remove_orbit(pool, o)
            ),
        )
        gaps = gaps.at[s].add(size)
        return pool, gaps.at[other].add(jnp.where(jnp.any(room), -size, 0))

    return jax.lax.while_loop(
        lambda carry: enough & jnp.any(carry[1] < 0), remove, (pool, gaps)
    )


def _fill_gaps(
    pool, gaps, count, enough, normals, subspace, seed
) -> tuple[Pool, Bool[Array, ""]]:
    """Fill the best vacant orbits, or sites if there are none, up to `count` atoms."""

    def fill(carry):
        pool, gaps, single, _ = carry
        orbit, pool = _find_best_orbit(
            pool, jnp.max(gaps), count, single, normals, subspace, seed
        )
        found = orbit.size > 0
        species = _choose_species(gaps, orbit.size, seed, pool)
        added = skip_round(add_orbit(pool, orbit, species))
        gaps = gaps.at[species].add(-orbit.size)
        return choose_tree(found, added, pool), gaps, ~found, found | ~single

    no = jnp.zeros((), bool)
    pool, *_, filled = jax.lax.while_loop(
        lambda carry: carry[-1] & (carry[0].size < count),
        fill,
        (pool, gaps, no, enough),
    )
    return pool, filled


def _find_best_orbit(
    pool, most, count, single, normals, subspace, seed
) -> tuple[Orbit, Pool]:
    """The vacant orbit of at most a size with the lowest score; of size 0 if none.

    If `single`, a site anywhere: an orbit of the group without symmetry.
    """
    sites, number = find_sites(
        pool.points[:count],
        jnp.arange(count) < pool.size,
        jnp.where(single, 0, normals),
    )
    orbits = jax.vmap(find_orbit, (0, None, None))(
        sites, subspace.operations, jnp.where(single, 1, subspace.order)
    )
    first = orbits.images[:, 0]
    index = jnp.arange(len(sites))
    # Single atoms need not have images, so that one image does not stand for all.
    clash = jax.vmap(has_any_within, (0, None, None))(
        orbits.images, pool.points[:count], CROWDED
    )
    clash = clash & (jnp.arange(clash.shape[1]) < orbits.size[:, None])
    crowded = jax.vmap(is_crowded)(orbits) | jnp.any(clash, axis=1)
    good = (index < number) & (orbits.size <= most) & (single | ~crowded)
    scores = score_points(first, pool.points) + jax.vmap(score_itself)(orbits)
    noise = jnp.where(single, ATOM_NOISE, SITE_NOISE).astype(sites.dtype)
    scores = scores + noise * draw(seed, pool.round, index, sites.dtype)
    scores = jnp.where(good, scores, BEST)
    best = jnp.argmin(scores)
    orbit = jax.tree.map(lambda x: x[best], orbits)
    size = jnp.where(scores[best] < BEST, orbit.size, 0)
    return Orbit(orbit.images, size), skip_round(pool)


def _choose_species(gaps, size, seed, pool) -> Int[Array, ""]:
    """A species of which so many are missing, in proportion to the missing atoms."""
    room = jnp.where(gaps >= size, gaps, 0)
    passed = jnp.cumsum(room)
    dtype = pool.points.dtype
    drawn = draw(seed, pool.round, 0, dtype) * passed[-1].astype(dtype)
    fits = (gaps >= size) & (drawn < passed.astype(dtype))
    return jnp.argmax(fits).astype(jnp.int32)


def _restore(pool, subspace) -> Float[Array, "atoms 3"]:
    """The atoms, each in a place of its species, in the frame of the system."""
    count = len(subspace.species)
    places = jnp.argsort(subspace.species, stable=True)
    there = jnp.arange(len(pool.points)) < pool.size
    species = jnp.where(there, pool.species, subspace.kinds)
    atoms = jnp.argsort(species, stable=True)[:count]
    points = apply(subspace.frame.T, pool.points[atoms])
    return jnp.zeros_like(points).at[places].set(points)
