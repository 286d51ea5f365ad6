"""Persistent evolution strategies: learning from pieces of long runs.

P. Vicol, L. Metz and J. Sohl-Dickstein, ICML 2021, arXiv:2112.13835.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PRNGKeyArray

from hopgym.meta.strategies.base import (
    AbstractStrategy,
    Losses,
    Settings,
    Weights,
    each,
    lost_is_worst,
)


class PES(AbstractStrategy):
    """ES that updates after every `truncation` steps of runs of length `unroll`.

    theta <- Adam(g),  g = mean over runs of L xi / s^2,

    where L is the loss at the end of the piece and xi the sum of all perturbations the
    run has seen since its start. Thus what an early perturbation does to a later piece
    counts, and g is an unbiased gradient of the sum of the losses of all pieces. All
    runs begin anew after `unroll` steps. A loss that is not finite counts as the worst
    of the update.
    """

    persistent = True

    def __init__(self, weights: Weights, settings: Settings, systems: int):
        # Not at the top: evosax computes when it is imported, and the processes of a
        # run must have joined before.
        from evosax.algorithms.distribution_based.persistent_es import (
            Params,
            PersistentES,
        )

        self.instances = each(settings.instances, systems) * systems
        self.of_run = np.tile(np.arange(self.instances), 2)
        self._start = weights
        self._params = Params(T=settings.unroll, K=settings.truncation)
        self._algorithm = PersistentES(
            population_size=2 * self.instances,
            solution=weights,
            optimizer=settings.optimizer(),
            std_schedule=optax.constant_schedule(settings.sigma),
            fitness_shaping_fn=lost_is_worst,
        )

    def init(self, key: PRNGKeyArray) -> Any:
        return self._algorithm.init(key, self._start, self._params)

    def ask(self, key: PRNGKeyArray, state: Any) -> tuple[Weights, Any]:
        return self._algorithm.ask(key, state, self._params)

    def tell(
        self, key: PRNGKeyArray, state: Any, candidates: Weights, losses: Losses
    ) -> Any:
        losses = jnp.asarray(losses)
        return self._algorithm.tell(key, candidates, losses, state, self._params)[0]

    def weights(self, state: Any) -> Weights:
        return self._algorithm.get_mean(state)
