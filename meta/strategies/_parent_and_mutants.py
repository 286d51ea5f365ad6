"""The genetic algorithm of evosax, with one parent that competes with its mutants."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from evosax.algorithms.population_based.simple_ga import SimpleGA


class ParentAndMutants(SimpleGA):
    """The best candidate, in row 0, and its mutants.

    The parent is evaluated again in every generation, since its fitness on the starts
    of the last generation cannot be compared with that of others on new starts.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.elite_ratio = 1 / self.population_size

    def _ask(self, key, state, params):
        parent = state.population[jnp.argmin(state.fitness)]
        population, state = super()._ask(key, state, params)
        return population.at[0].set(parent), state
