"""Evolution strategies with meta-loss clipping (Learn2Hop, Eq. 4)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import PRNGKeyArray

from hopgym.meta.strategies.base import (
    AbstractES,
    Losses,
    Settings,
    Weights,
    repeated,
    worst_if_lost,
)


@struct.dataclass
class Baseline:
    """Losses of the unperturbed weights on the start of each antithetic pair."""

    losses: jax.Array


def clip_to_baseline(population, fitness, state, params: Baseline):
    """min[L(theta), L(theta +- e)], the baseline being that of the same start.

    evosax's own ESMC has one baseline for all starts. A loss that is not finite is
    clipped like one that is too large.
    """
    baseline = jnp.tile(worst_if_lost(params.losses), 2)
    return jnp.where(jnp.isfinite(fitness), jnp.minimum(fitness, baseline), baseline)


class ESMC(AbstractES):
    """ES whose losses are clipped at that of the unperturbed weights.

    theta <- Adam(g), where g is the mean over pairs of

        { min[L(theta), L(theta + e)] - min[L(theta), L(theta - e)] } e / 2 s^2.

    All three losses of a pair are of the same start: a perturbation counts where it
    does better, however much worse it does elsewhere.
    """

    shape = staticmethod(clip_to_baseline)

    def __init__(self, weights: Weights, settings: Settings, systems: int):
        super().__init__(weights, settings, systems)
        self.of_run = np.tile(np.arange(self.instances), 3)

    def ask(self, key: PRNGKeyArray, state: Any) -> tuple[Weights, Any]:
        perturbed, state = super().ask(key, state)
        own = repeated(self.weights(state), self.instances)
        both = jax.tree.map(lambda *parts: jnp.concatenate(parts), perturbed, own)
        return both, state

    def tell(
        self, key: PRNGKeyArray, state: Any, candidates: Weights, losses: Losses
    ) -> Any:
        perturbed = 2 * self.instances
        own = Baseline(jnp.asarray(losses[perturbed:]))
        others = jax.tree.map(lambda x: x[:perturbed], candidates)
        fitness = jnp.asarray(losses[:perturbed])
        return self._algorithm.tell(key, others, fitness, state, own)[0]
