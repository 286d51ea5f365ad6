"""Separable CMA-ES: few weights, each with its own scale, and noisy losses.

R. Ros and N. Hansen, Parallel Problem Solving from Nature (PPSN X), 296 (2008).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxtyping import PRNGKeyArray

from hopgym.meta.strategies._population import AbstractPopulation
from hopgym.meta.strategies.base import AbstractSettings, Weights, setting


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


class SepCMA(AbstractPopulation):
    """CMA-ES with a diagonal covariance, by the mean losses of candidates.

    The current weights are the mean of the distribution.
    """

    settings_class = SepCMASettings

    def __init__(self, weights: Weights, settings: SepCMASettings, systems: int):
        # Imported here: importing evosax initialises JAX's backend, and the processes
        # of a run must join before.
        from evosax.algorithms.distribution_based.sep_cma_es import Sep_CMA_ES

        self._share_starts(settings.cma_population, settings.cma_starts, systems)
        self._initial = weights
        self._algorithm = Sep_CMA_ES(population_size=self._population, solution=weights)
        self._params = self._algorithm.default_params.replace(
            std_init=settings.cma_sigma
        )

    def init(self, key: PRNGKeyArray) -> Any:
        return self._algorithm.init(key, self._initial, self._params)

    def get_weights(self, state: Any) -> Weights:
        return self._algorithm.get_mean(state)
