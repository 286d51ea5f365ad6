"""What a strategy of meta-training is: asks for runs, is told their losses."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

Weights = PyTree[Array]
Losses = Float[np.ndarray | Array, " runs"]


@dataclass(frozen=True)
class Settings:
    """Meta-hyper-parameters, with the paper's values (Learn2Hop, sections 3.2, 3.3).

    **Attributes:**

    - `instances`: starts of an update, for all systems together.
    - `sigma`: standard deviation of the perturbations.
    - `learning_rate`, `decay`, `decay_every`: of Adam; the rate is multiplied by
      `decay` after every so many updates.
    - `population`: candidates of the genetic algorithm.
    - `ga_starts`: starts on which candidates are compared, at least one of a system.
    - `unroll`, `truncation`: length of a run, and of the pieces persistent ES learns
      from.

    **Raises:** `ValueError` for numbers that make no sense.
    """

    instances: int = 80
    sigma: float = 0.1
    learning_rate: float = 1e-2
    decay: float = 0.98
    decay_every: int = 10
    population: int = 80
    ga_starts: int = 3
    unroll: int = 50_000
    truncation: int = 500

    def __post_init__(self):
        for name in ("instances", "population", "ga_starts", "unroll", "truncation"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"{name} must be at least 1, got {getattr(self, name)}"
                )
        for name in ("sigma", "learning_rate", "decay", "decay_every"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")

    def optimizer(self) -> optax.GradientTransformation:
        """Adam, as the paper uses it."""
        schedule = optax.exponential_decay(
            self.learning_rate, self.decay_every, self.decay, staircase=True
        )
        return optax.adam(schedule)


class AbstractStrategy(abc.ABC):
    """A way to improve weights by the losses of runs.

    Adding a strategy is one file and one line in `STRATEGIES`. It is made with the
    weights to begin with, `Settings`, and the number of systems; instances are shared
    out over the systems evenly, in order.

    **Attributes:**

    - `instances`: number of different starts in an update.
    - `of_run`: for each run of an update the number of its start.
    - `persistent`: whether runs go on in the next update, in pieces of `truncation`.
    """

    instances: int
    of_run: np.ndarray
    persistent: bool = False

    @abc.abstractmethod
    def __init__(self, weights: Weights, settings: Settings, systems: int): ...

    @abc.abstractmethod
    def init(self, key: PRNGKeyArray) -> PyTree[Array]:
        """State before the first update: arrays only."""

    @abc.abstractmethod
    def ask(self, key: PRNGKeyArray, state: Any) -> tuple[Weights, Any]:
        """The weights of every run of an update, with a leading axis."""

    @abc.abstractmethod
    def tell(
        self, key: PRNGKeyArray, state: Any, candidates: Weights, losses: Losses
    ) -> Any:
        """State after an update.

        **Arguments:**

        - `key`: of this update.
        - `state`, `candidates`: as returned by `ask`.
        - `losses`: of the runs.
        """

    @abc.abstractmethod
    def weights(self, state: Any) -> Weights:
        """The present weights."""


def each(instances: int, systems: int) -> int:
    """Starts of each system when so many are shared out, at least one."""
    return max(1, instances // systems)


def worst_if_lost(losses: Float[Array, " runs"]) -> Float[Array, " runs"]:
    """Losses in which nan and infinities are the greatest finite loss, or 0."""
    finite = jnp.isfinite(losses)
    worst = jnp.max(losses, where=finite, initial=-jnp.inf)
    return jnp.where(finite, losses, jnp.where(jnp.isfinite(worst), worst, 0))


def repeated(tree: Weights, times: int) -> Weights:
    """Every array `times` times along a new leading axis."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (times, *x.shape)), tree)


def lost_is_worst(population, fitness, state, params):
    """`worst_if_lost` as what evosax calls a fitness shaping function."""
    return worst_if_lost(fitness)


class AbstractES(AbstractStrategy):
    """Antithetic pairs of perturbations, each pair with its own start.

    The optimizer is evosax's, with the paper's Adam.
    """

    def __init__(self, weights: Weights, settings: Settings, systems: int):
        # Not at the top: evosax computes when it is imported, and the processes of a
        # run must have joined before.
        from evosax.algorithms.distribution_based.open_es import Open_ES

        self.instances = each(settings.instances, systems) * systems
        self.of_run = np.tile(np.arange(self.instances), 2)
        self._start = weights
        self._algorithm = Open_ES(
            population_size=2 * self.instances,
            solution=weights,
            optimizer=settings.optimizer(),
            std_schedule=optax.constant_schedule(settings.sigma),
            fitness_shaping_fn=self.shape,
        )

    @staticmethod
    @abc.abstractmethod
    def shape(population: Any, fitness: Any, state: Any, params: Any) -> Any:
        """Fitness that the gradient is formed of: evosax's fitness shaping function."""

    def init(self, key: PRNGKeyArray) -> Any:
        return self._algorithm.init(key, self._start, self._algorithm.default_params)

    def ask(self, key: PRNGKeyArray, state: Any) -> tuple[Weights, Any]:
        return self._algorithm.ask(key, state, self._algorithm.default_params)

    def tell(
        self, key: PRNGKeyArray, state: Any, candidates: Weights, losses: Losses
    ) -> Any:
        params = self._algorithm.default_params
        losses = jnp.asarray(losses)
        return self._algorithm.tell(key, candidates, losses, state, params)[0]

    def weights(self, state: Any) -> Weights:
        return self._algorithm.get_mean(state)
