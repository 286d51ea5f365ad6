"""Surface search: the best occupation of a lattice of atoms and vacant sites.

Dynamic lattice searching of Shao, Cheng and Cai, J. Comput. Chem. 25, 1693 (2004), with
scores of pairs (`score_pairs`) in place of energies, and kicks between descents.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt32

from hopgym._batching import choose_tree
from hopgym.optimizers.symmetry.random_numbers import draw
from hopgym.optimizers.symmetry.scores import (
    FAR,
    find_rank,
    get_squares,
    pick,
    score_pairs,
)

WEAKEST = 6  # atoms that are tried on all vacant places
MOST_SWAPS = 200  # until a descent ends
TRIED_ATOMS = 5  # of which a kick takes the worst bound,
TRIED_PLACES = 3  # and puts it to the best of so many places
GAIN = 1e-3  # smallest gain that counts
TIE = 1e-6  # of the index of a place, added to its score


class Occupation(NamedTuple):
    """Which places of a lattice hold an atom, and what each place would be worth.

    **Attributes:**

    - `occupied`: whether there is an atom.
    - `scores`: score of each place with the atoms on all other places.
    """

    occupied: Bool[Array, " places"]
    scores: Float[Array, " places"]

    def sum_scores(self) -> Float[Array, ""]:
        """Score of the cluster."""
        return jnp.sum(jnp.where(self.occupied, self.scores, 0)) / 2


def search_surface(
    lattice: Float[Array, "places 3"],
    size: Int[Array, ""],
    first: Int[Array, ""],
    atoms: int,
    seed: UInt32[Array, "2"],
    round: Int[Array, ""] | int,
    *,
    kicks: Int[Array, ""] | int,
    most_moved: Int[Array, ""] | int,
) -> tuple[Bool[Array, " places"], Float[Array, ""]]:
    """Occupy places so that the score is as low as a few descents find.

    **Arguments:**

    - `lattice`: places in units of length, of which the first `size` exist. There must
      be `atoms` or more.
    - `first`: number of places that are occupied at the beginning, the first ones.
    - `atoms`: number of places to be occupied.
    - `seed`, `round`: random numbers.
    - `kicks`, `most_moved`: number of kicks, each followed by a descent, and of atoms
      that one moves at most.

    **Returns:** the occupied places, and by how much the score has changed from the
    first occupation with the right number of atoms.
    """
    places = jnp.arange(len(lattice))
    exists = places < size
    pairs = score_pairs(get_squares(lattice, lattice))
    pairs = jnp.where(places == places[:, None], 0, pairs)
    occupied = exists & (places < first)
    # Without ties: places related by symmetry would be chosen between by rounding.
    scores = TIE * places + jnp.sum(jnp.where(occupied, pairs, 0), axis=1)
    start = _occupy(Occupation(occupied, scores), exists, pairs, atoms)

    def kick(k, best):
        kicked = round + (k - 1) * (1 + most_moved)
        moved = 1 + pick(draw(seed, kicked, 0, lattice.dtype), most_moved)
        tried = jax.lax.fori_loop(
            0,
            jnp.where(k > 0, moved, 0),
            lambda q, now: _move_one(now, exists, pairs, seed, kicked + 1 + q),
            best,
        )
        tried = _descend(tried, exists, pairs)
        better = tried.sum_scores() < best.sum_scores() - GAIN
        return choose_tree(better | (k == 0), tried, best)

    # The first descent is from where the search starts.
    best = jax.lax.fori_loop(0, kicks + 1, kick, start)
    return best.occupied, best.sum_scores() - start.sum_scores()


def _fill(now: Occupation, pairs, to) -> Occupation:
    return Occupation(now.occupied.at[to].set(True), now.scores + pairs[to])


def _empty(now: Occupation, pairs, place) -> Occupation:
    return Occupation(now.occupied.at[place].set(False), now.scores - pairs[place])


def _occupy(now: Occupation, exists, pairs, atoms) -> Occupation:
    """Empty the worst places or fill the best ones, until `atoms` are occupied."""

    def remove(now):
        return _empty(
            now, pairs, jnp.argmax(jnp.where(now.occupied, now.scores, -jnp.inf))
        )

    def add(now):
        vacant = exists & ~now.occupied
        return _fill(now, pairs, jnp.argmin(jnp.where(vacant, now.scores, jnp.inf)))

    now = jax.lax.while_loop(lambda now: jnp.sum(now.occupied) > atoms, remove, now)
    enough = jnp.minimum(atoms, jnp.sum(exists))
    return jax.lax.while_loop(lambda now: jnp.sum(now.occupied) < enough, add, now)


def _descend(now: Occupation, exists, pairs) -> Occupation:
    """Move one of the weakest atoms to the best place, while the score falls."""

    def find_best(now):
        count = min(WEAKEST, len(exists))
        weak = jnp.where(now.occupied, now.scores, -FAR)
        score, weakest = jax.lax.top_k(weak, count)
        gains = now.scores - pairs[weakest] - score[:, None]
        possible = now.occupied[weakest][:, None] & exists & ~now.occupied
        gains = jnp.where(possible, gains, FAR).reshape(-1)
        best = jnp.argmin(gains)
        return weakest[best // len(exists)], best % len(exists), gains[best] < -GAIN

    def swap(carry):
        now, swaps, _ = carry
        place, to, better = find_best(now)
        swapped = _fill(_empty(now, pairs, place), pairs, to)
        return choose_tree(better, swapped, now), swaps + 1, better

    first = (now, jnp.zeros((), jnp.int32), jnp.ones((), bool))
    return jax.lax.while_loop(
        lambda carry: carry[2] & (carry[1] < MOST_SWAPS), swap, first
    )[0]


def _move_one(now: Occupation, exists, pairs, seed, round) -> Occupation:
    """Move an atom that is bound badly to a place that is good, of a few of each."""
    vacant = exists & ~now.occupied
    count, room = jnp.sum(now.occupied), jnp.sum(vacant)
    drawn = draw(seed, round, jnp.arange(TRIED_ATOMS + TRIED_PLACES), now.scores.dtype)
    find_ranks = jax.vmap(find_rank, (None, 0))
    atoms = find_ranks(now.occupied, pick(drawn[:TRIED_ATOMS], count))
    places = find_ranks(vacant, pick(drawn[TRIED_ATOMS:], room))
    worst = atoms[jnp.argmax(now.scores[atoms])]
    best = places[jnp.argmin(now.scores[places])]
    moved = _fill(_empty(now, pairs, worst), pairs, best)
    return choose_tree(room > 0, moved, now)
