"""The paper's genetic algorithm (Learn2Hop, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PRNGKeyArray

from hopgym.meta.strategies.base import (
    AbstractSettings,
    AbstractStrategy,
    Losses,
    Weights,
    repeat,
    replace_nonfinite,
    setting,
)


@dataclass(frozen=True)
class GASettings(AbstractSettings):
    """Meta-hyper-parameters of `GA`, by default the paper's (section 3.2).

    **Attributes:**

    - `population`: number of candidates, theta and its mutants.
    - `sigma`: standard deviation of mutations.
    - `ga_starts`: number of starts on which candidates are compared; at least one of
      each system is used.
    """

    population: int = setting(80, "number of candidates")
    sigma: float = setting(0.1, "standard deviation of perturbations")
    ga_starts: int = setting(3, "starts on which candidates are compared")


class GA(AbstractStrategy):
    """The next theta is the best, on the same starts, of theta and its mutants.

    Mutants are theta plus normal noise of standard deviation `sigma`. Non-finite losses
    are replaced by the largest one of the update.
    """

    settings_class = GASettings

    def __init__(self, weights: Weights, settings: GASettings, systems: int):
        # Imported here: importing evosax initialises JAX's backend, and the processes
        # of a run must join before.
        from hopgym.meta.strategies._parent_and_mutants import ParentAndMutants

        # The same number of starts for each system.
        self.instances = -(-settings.ga_starts // systems) * systems
        self.start_indices = np.tile(np.arange(self.instances), settings.population)
        self._initial = weights
        self._population = settings.population
        self._algorithm = ParentAndMutants(
            population_size=settings.population,
            solution=weights,
            std_schedule=optax.constant_schedule(settings.sigma),
        )

    def init(self, key: PRNGKeyArray) -> Any:
        return self._algorithm.init(
            key,
            repeat(self._initial, self._population),
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
        table = replace_nonfinite(jnp.asarray(losses)).reshape(self._population, -1)
        state, _ = self._algorithm.tell(
            key,
            jax.tree.map(lambda x: x[:: self.instances], candidates),
            jnp.mean(table, axis=1),
            state,
            self._algorithm.default_params,
        )
        return state

    def get_weights(self, state: Any) -> Weights:
        return self._algorithm.get_best_solution(state)
