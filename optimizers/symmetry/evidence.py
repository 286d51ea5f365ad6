"""What the epochs of a search have found in each group."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


class Evidence(eqx.Module):
    """Statistics of the lowest energies of epochs, by group.

    **Attributes:**

    - `visits`: numbers of epochs.
    - `lowest`: their lowest energies, infinite for groups that were not searched.
    - `mean`, `squares`: means, and sums of the squared deviations from them.
    - `evaluations`: spent on hops within the subspaces.
    """

    visits: Int[Array, " groups"]
    lowest: Float[Array, " groups"]
    mean: Float[Array, " groups"]
    squares: Float[Array, " groups"]
    evaluations: Int[Array, " groups"]

    @property
    def is_tried(self) -> Bool[Array, "*batch groups"]:
        """Which groups have been searched."""
        return jnp.isfinite(self.lowest)

    @property
    def spread(self) -> Float[Array, "*batch groups"]:
        """Standard deviations, 0 for less than two epochs."""
        others = jnp.maximum(self.visits - 1, 1).astype(self.squares.dtype)
        return jnp.sqrt(self.squares / others)


def make_evidence(groups: int, dtype: jnp.dtype) -> Evidence:
    """Nothing was found yet."""
    none, zeros = jnp.zeros(groups, jnp.int32), jnp.zeros(groups, dtype)
    return Evidence(none, jnp.full(groups, jnp.inf, dtype), zeros, zeros, none)


def add_epoch(
    evidence: Evidence,
    group: Int[Array, ""],
    energy: Float[Array, ""],
    evaluations: Int[Array, ""],
    when: Bool[Array, ""],
) -> Evidence:
    """Add an epoch, if `when` holds and its energy is finite."""
    counts = when & jnp.isfinite(energy)
    energy = jnp.where(counts, energy, 0)
    visits = evidence.visits.at[group].add(counts)
    before = evidence.mean[group]
    share = counts / jnp.maximum(visits[group], 1).astype(energy.dtype)
    after = before + share * (energy - before)
    squares = jnp.where(counts, (energy - before) * (energy - after), 0)
    lowest = jnp.where(counts, energy, jnp.inf)
    return Evidence(
        visits=visits,
        lowest=evidence.lowest.at[group].min(lowest),
        mean=evidence.mean.at[group].set(after),
        squares=evidence.squares.at[group].add(squares),
        evaluations=evidence.evaluations.at[group].add(
            jnp.where(counts, evaluations, 0)
        ),
    )
