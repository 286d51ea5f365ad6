"""The paper's genetic algorithm (Learn2Hop, section 3.2)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PRNGKeyArray

from hopgym.meta.strategies.base import (
    AbstractStrategy,
    Losses,
    Settings,
    Weights,
    repeated,
    worst_if_lost,
)


class GA(AbstractStrategy):
    """The best of theta and its mutants on the same starts is the next theta.

    Mutants are theta plus normal noise of standard deviation `sigma`; theta is kept
    unless one is better. A loss that is not finite counts as the worst of the update.
    """

    def __init__(self, weights: Weights, settings: Settings, systems: int):
        # Not at the top: evosax computes when it is imported, and the processes of a
        # run must have joined before.
        from hopgym.meta.strategies.parent_and_mutants import ParentAndMutants

        # As many starts of each system, and no fewer than asked for.
        self.instances = -(-settings.ga_starts // systems) * systems
        self.of_run = np.tile(np.arange(self.instances), settings.population)
        self._start = weights
        self._population = settings.population
        self._algorithm = ParentAndMutants(
            population_size=settings.population,
            solution=weights,
            std_schedule=optax.constant_schedule(settings.sigma),
        )

    def init(self, key: PRNGKeyArray) -> Any:
        return self._algorithm.init(
            key,
            repeated(self._start, self._population),
            jnp.zeros(self._population),
            self._algorithm.default_params,
        )

    def ask(self, key: PRNGKeyArray, state: Any) -> tuple[Weights, Any]:
        population, state = self._algorithm.ask(
            key, state, self._algorithm.default_params
        )
        candidates = jax.tree.map(
            lambda x: jnp.repeat(x, self.instances, axis=0), population
        )
        return candidates, state

    def tell(
        self, key: PRNGKeyArray, state: Any, candidates: Weights, losses: Losses
    ) -> Any:
        table = worst_if_lost(jnp.asarray(losses)).reshape(self._population, -1)
        state, _ = self._algorithm.tell(
            key,
            jax.tree.map(lambda x: x[:: self.instances], candidates),
            jnp.mean(table, axis=1),
            state,
            self._algorithm.default_params,
        )
        return state

    def weights(self, state: Any) -> Weights:
        return self._algorithm.get_best_solution(state)
