"""Common part of strategies that compare candidates on the same starts."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from hopgym.meta.strategies.base import (
    AbstractStrategy,
    Losses,
    Weights,
    replace_nonfinite,
)


class AbstractPopulation(AbstractStrategy):
    """Candidates with the same starts, ranked by their mean losses.

    Non-finite losses are replaced by the largest one of the update. Subclasses call
    `_share_starts`, and set `_algorithm`, a strategy of evosax, and its `_params`.
    """

    _algorithm: Any
    _params: Any

    def _share_starts(self, population: int, starts: int, systems: int) -> None:
        """Give all candidates the same number of starts of each system."""
        self._population = population
        self.instances = -(-starts // systems) * systems
        self.start_indices = np.tile(np.arange(self.instances), population)

    def ask(self, key: PRNGKeyArray, state: Any) -> tuple[Weights, Any]:
        population, state = self._algorithm.ask(key, state, self._params)
        candidates = jax.tree.map(
            lambda x: jnp.repeat(x, self.instances, axis=0), population
        )
        return candidates, state

    def tell(
        self, key: PRNGKeyArray, state: Any, candidates: Weights, losses: Losses
    ) -> Any:
        table = replace_nonfinite(jnp.asarray(losses)).reshape(self._population, -1)
        state, _ = self._algorithm.tell(
            key,
            jax.tree.map(lambda x: x[:: self.instances], candidates),
            jnp.mean(table, axis=1),
            state,
            self._params,
        )
        return state
