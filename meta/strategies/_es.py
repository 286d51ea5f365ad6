"""Common parts of the evolution strategies: settings, Adam, antithetic pairs."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
import optax
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
class AbstractESSettings(AbstractSettings):
    """Meta-hyper-parameters of evolution strategies (Learn2Hop, section 3.3).

    **Attributes:**

    - `instances`: number of starts per update, of all systems together.
    - `sigma`: standard deviation of perturbations.
    - `learning_rate`: learning rate of Adam.
    - `decay`, `decay_every`: the learning rate is multiplied by `decay` after every
      `decay_every` updates.
    """

    instances: int = setting(80, "starts per update")
    sigma: float = setting(0.1, "standard deviation of perturbations")
    learning_rate: float = setting(1e-2, "learning rate of Adam")
    decay: float = setting(0.98, "factor by which the learning rate decays")
    decay_every: int = setting(10, "updates between decays of the learning rate")

    def make_optimizer(self) -> optax.GradientTransformation:
        """Adam with the paper's schedule."""
        schedule = optax.exponential_decay(
            self.learning_rate, self.decay_every, self.decay, staircase=True
        )
        return optax.adam(schedule)


def round_instances(instances: int, systems: int) -> int:
    """Round down to a multiple of `systems`, but at least to one start of each."""
    return max(1, instances // systems) * systems


def shape_nonfinite(population: Any, fitness: Any, state: Any, params: Any) -> Any:
    """Fitness shaping function of evosax that calls `replace_nonfinite`."""
    return replace_nonfinite(fitness)


class AbstractES(AbstractStrategy):
    """Antithetic pairs of perturbations, each pair with its own start.

    The gradient estimator is that of evosax, the optimizer the paper's Adam.
    """

    runs_per_start: ClassVar[int]

    def __init__(self, weights: Weights, settings: AbstractESSettings, systems: int):
        # Imported here: importing evosax initialises JAX's backend, and the processes
        # of a run must join before.
        from evosax.algorithms.distribution_based.open_es import Open_ES

        self.instances = round_instances(settings.instances, systems)
        self.start_indices = np.tile(np.arange(self.instances), self.runs_per_start)
        self._initial = weights
        self._algorithm = Open_ES(
            population_size=2 * self.instances,
            solution=weights,
            optimizer=settings.make_optimizer(),
            std_schedule=optax.constant_schedule(settings.sigma),
            fitness_shaping_fn=self.shape_fitness,
        )

    @staticmethod
    @abc.abstractmethod
    def shape_fitness(population: Any, fitness: Any, state: Any, params: Any) -> Any:
        """Fitness from which evosax estimates the gradient."""

    def init(self, key: PRNGKeyArray) -> Any:
        return self._algorithm.init(key, self._initial, self._algorithm.default_params)

    def get_weights(self, state: Any) -> Weights:
        return self._algorithm.get_mean(state)

    def _ask_pairs(self, key: PRNGKeyArray, state: Any) -> tuple[Weights, Any]:
        """Perturbed weights: theta + e for all starts, then theta - e."""
        return self._algorithm.ask(key, state, self._algorithm.default_params)

    def _tell_pairs(
        self,
        key: PRNGKeyArray,
        state: Any,
        candidates: Weights,
        losses: Losses,
        params: Any,
    ) -> Any:
        """State after an update with the losses of the pairs."""
        losses = jnp.asarray(losses)
        return self._algorithm.tell(key, candidates, losses, state, params)[0]
