"""Separable CMA-ES: few weights, each with its own scale, and noisy losses.

R. Ros and N. Hansen, Parallel Problem Solving from Nature (PPSN X), 296 (2008).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from hopgym.meta.strategies.base import (
    AbstractSettings,
    AbstractStrategy,
    Losses,
    Weights,
    replace_nonfinite,
    setting,
)


@dataclass(frozen=True)
class SepCMASettings(AbstractSettings):
    """Meta-hyper-parameters of `SepCMA`.

    **Attributes:**

    - `cma_population`: number of candidates.
    - `cma_sigma`: initial standard deviation of the weights.
    - `cma_starts`: number of starts on which candidates are compared; at least one of
      each system is used.
    """

    cma_population: int = setting(16, "number of candidates")
    cma_sigma: float = setting(0.3, "initial standard deviation of the weights")
    cma_starts: int = setting(16, "starts on which candidates are compared")

    def __post_init__(self):
        super().__post_init__()
        if self.cma_population < 4:
            raise ValueError(
                f"cma_population must be at least 4, got {self.cma_population}"
            )


class SepCMA(AbstractStrategy):
    """CMA-ES with a diagonal covariance, by the mean losses of candidates.

    All candidates of an update have the same starts. The current weights are the mean
    of the distribution. Non-finite losses are replaced by the largest one of the
    update.
    """

    settings_class = SepCMASettings

    def __init__(self, weights: Weights, settings: SepCMASettings, systems: int):
        # Imported here: importing evosax initialises JAX's backend, and the processes
        # of a run must join before.
        from evosax.algorithms.distribution_based.sep_cma_es import Sep_CMA_ES

        # The same number of starts for each system.
        self.instances = -(-settings.cma_starts // systems) * systems
        self._population = settings.cma_population
        self.start_indices = np.tile(np.arange(self.instances), self._population)
        self._initial = weights
        self._algorithm = Sep_CMA_ES(population_size=self._population, solution=weights)
        self._params = self._algorithm.default_params.replace(
            std_init=settings.cma_sigma
        )

    def init(self, key: PRNGKeyArray) -> Any:
        return self._algorithm.init(key, self._initial, self._params)

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

    def get_weights(self, state: Any) -> Weights:
        return self._algorithm.get_mean(state)
