"""The paper's genetic algorithm (Learn2Hop, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import optax
from jaxtyping import PRNGKeyArray

from hopgym.meta.strategies._population import AbstractPopulation
from hopgym.meta.strategies.base import AbstractSettings, Weights, repeat, setting


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


class GA(AbstractPopulation):
    """The next theta is the best, on the same starts, of theta and its mutants.

    Mutants are theta plus normal noise of standard deviation `sigma`.
    """

    settings_class = GASettings

    def __init__(self, weights: Weights, settings: GASettings, systems: int):
        # Imported here: importing evosax initialises JAX's backend, and the processes
        # of a run must join before.
        from hopgym.meta.strategies._parent_and_mutants import ParentAndMutants

        self._share_starts(settings.population, settings.ga_starts, systems)
        self._initial = weights
        self._algorithm = ParentAndMutants(
            population_size=settings.population,
            solution=weights,
            std_schedule=optax.constant_schedule(settings.sigma),
        )
        self._params = self._algorithm.default_params

    def init(self, key: PRNGKeyArray) -> Any:
        return self._algorithm.init(
            key,
            repeat(self._initial, self._population),
            jnp.zeros(self._population),
            self._params,
        )

    def get_weights(self, state: Any) -> Weights:
        return self._algorithm.get_best_solution(state)
