"""Restarts walks over minima that find nothing lower."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from hopgym._checks import check_length
from hopgym.context import Context

INPUTS = ("constant", "log_stalled", "log_hops")
NEVER = (-8.0, 0.0, 0.0)  # once in 3,000 hops
GAIN = 1e-3  # smallest fall of the lowest energy that counts, in units of energy


class Stall(eqx.Module):
    """How long a walk has found nothing lower.

    **Attributes:**

    - `lowest`: lowest energy since its start.
    - `stalled`: number of hops since that was found.
    - `hops`: number of hops since its start.
    """

    lowest: Float[Array, ""]
    stalled: Int[Array, ""]
    hops: Int[Array, ""]


def make_stall(dtype: jnp.dtype) -> Stall:
    """A walk that has found nothing yet."""
    zero = jnp.zeros((), jnp.int32)
    return Stall(jnp.asarray(jnp.inf, dtype), zero, zero)


def follow_walk(stall: Stall, energy: Float[Array, ""], context: Context) -> Stall:
    """The same after another minimum with this energy."""
    lower = energy < stall.lowest - GAIN * context.energy_unit
    return Stall(
        jnp.where(lower, energy, stall.lowest),
        jnp.where(lower, 0, stall.stalled + 1),
        stall.hops + 1,
    )


class RestartRule(eqx.Module):
    """Restarts a walk with a probability that depends on how long it has stalled.

    Its log-odds are the weighted sum of `INPUTS`: the logarithms of one plus the hops
    since the lowest minimum was found, and since the walk was started.

    **Arguments:**

    - `weights`: by default a restart every 3,000 hops.
    """

    weights: Float[Array, " inputs"] = eqx.field(
        converter=lambda x: jnp.asarray(x, float), default=NEVER
    )

    def __check_init__(self):
        check_length(self, "weights", len(INPUTS))

    def is_due(self, key: PRNGKeyArray, stall: Stall) -> Bool[Array, ""]:
        """Whether the walk starts again from a random structure."""
        one = jnp.ones((), self.weights.dtype)
        inputs = jnp.stack([one, jnp.log1p(stall.stalled), jnp.log1p(stall.hops)])
        odds = jnp.dot(self.weights, inputs)
        return jax.random.uniform(key, dtype=odds.dtype) < jax.nn.sigmoid(odds)
