"""What the epochs of a search have found in each group."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Int

SAME = 0.02  # units of energy within which two lowest energies are the same


class Evidence(eqx.Module):
    """Statistics of the lowest energies of epochs, by group.

    The energies are those of hops within the subspaces, which are quenched loosely, but
    for `deepest`.

    **Attributes:**

    - `visits`: numbers of epochs.
    - `found`: numbers of epochs whose energy is finite.
    - `lowest`: lowest energies of the latter, infinite if there are none.
    - `mean`, `squares`: means, and sums of the squared deviations from them.
    - `evaluations`: spent on hops within the subspaces.
    - `deepest`: lowest energy of all epochs at their ends, infinite before the first.
    - `returns`: numbers of epochs that ended there: a funnel is exhausted if its bottom
      is found again and again.
    """

    visits: Int[Array, " groups"]
    found: Int[Array, " groups"]
    lowest: Float[Array, " groups"]
    mean: Float[Array, " groups"]
    squares: Float[Array, " groups"]
    evaluations: Int[Array, " groups"]
    deepest: Float[Array, ""]
    returns: Int[Array, " groups"]

    @property
    def is_tried(self) -> Bool[Array, "*batch groups"]:
        """Of which groups there are energies."""
        return jnp.isfinite(self.lowest)

    @property
    def spread(self) -> Float[Array, "*batch groups"]:
        """Standard deviations, 0 for less than two epochs."""
        others = jnp.maximum(self.found - 1, 1).astype(self.squares.dtype)
        return jnp.sqrt(self.squares / others)


def make_evidence(groups: int, dtype: jnp.dtype) -> Evidence:
    """Nothing was found yet."""
    none, zeros = jnp.zeros(groups, jnp.int32), jnp.zeros(groups, dtype)
    infinite = jnp.full(groups, jnp.inf, dtype)
    deepest = jnp.full((), jnp.inf, dtype)
    return Evidence(none, none, infinite, zeros, zeros, none, deepest, none)


def add_epoch(
    evidence: Evidence,
    group: Int[Array, ""],
    energy: Float[Array, ""],
    evaluations: Int[Array, ""],
    when: Bool[Array, ""],
) -> Evidence:
    """Add an epoch, if `when` holds."""
    counts = when & jnp.isfinite(energy)
    energy = jnp.where(counts, energy, 0)
    found = evidence.found.at[group].add(counts)
    before = evidence.mean[group]
    share = counts / jnp.maximum(found[group], 1).astype(energy.dtype)
    after = before + share * (energy - before)
    squares = jnp.where(counts, (energy - before) * (energy - after), 0)
    lowest = jnp.where(counts, energy, jnp.inf)
    return Evidence(
        visits=evidence.visits.at[group].add(when),
        found=found,
        lowest=evidence.lowest.at[group].min(lowest),
        mean=evidence.mean.at[group].set(after),
        squares=evidence.squares.at[group].add(squares),
        evaluations=evidence.evaluations.at[group].add(jnp.where(when, evaluations, 0)),
        deepest=evidence.deepest,
        returns=evidence.returns,
    )


def add_end(
    evidence: Evidence,
    group: Int[Array, ""],
    energy: Float[Array, ""],
    unit: ArrayLike,
    when: Bool[Array, ""],
) -> Evidence:
    """Add the lowest energy of an epoch that has ended, if `when` holds.

    **Arguments:**

    - `unit`: the system's unit of energy.
    """
    margin = jnp.asarray(SAME * unit, energy.dtype)
    deepest = evidence.deepest
    lower = when & (energy < deepest - margin)
    same = when & jnp.isfinite(energy) & (energy <= deepest + margin)
    returns = jnp.where(lower, 0, evidence.returns).at[group].add(same)
    deepest = jnp.where(lower, energy, deepest)
    return eqx.tree_at(lambda e: (e.deepest, e.returns), evidence, (deepest, returns))
