"""Evolution strategies with meta-loss clipping (Learn2Hop, Eq. 4)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import PRNGKeyArray

from hopgym.meta.strategies.base import (
    AbstractStrategy,
    Asked,
    Losses,
    Settings,
    Weights,
    antithetic,
    each,
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


class ESMC(AbstractStrategy):
    """ES whose losses are clipped at that of the unperturbed weights.

    theta <- Adam(g), where g is the mean over pairs of

        { min[L(theta), L(theta + e)] - min[L(theta), L(theta - e)] } e / 2 s^2.

    All three losses of a pair are of the same start: a perturbation counts where it
    does better, however much worse it does elsewhere.
    """

    def __init__(self, weights: Weights, settings: Settings, systems: int):
        self.instances = each(settings.instances, systems) * systems
        self._start = weights
        self._algorithm = antithetic(
            weights, settings, self.instances, clip_to_baseline
        )

    def init(self, key: PRNGKeyArray) -> Any:
        return self._algorithm.init(key, self._start, self._algorithm.default_params)

    def ask(self, key: PRNGKeyArray, state: Any) -> tuple[Asked, Any]:
        perturbed, state = self._algorithm.ask(
            key, state, self._algorithm.default_params
        )
        own = repeated(self.weights(state), self.instances)
        candidates = jax.tree.map(lambda *parts: jnp.concatenate(parts), perturbed, own)
        return Asked(candidates, np.tile(np.arange(self.instances), 3)), state

    def tell(self, key: PRNGKeyArray, state: Any, asked: Asked, losses: Losses) -> Any:
        perturbed = 2 * self.instances
        losses = jnp.asarray(losses)
        state, _ = self._algorithm.tell(
            key,
            jax.tree.map(lambda x: x[:perturbed], asked.candidates),
            losses[:perturbed],
            state,
            Baseline(losses[perturbed:]),
        )
        return state

    def weights(self, state: Any) -> Weights:
        return self._algorithm.get_mean(state)
