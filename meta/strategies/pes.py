"""Persistent evolution strategies, which learn from segments of long runs.

P. Vicol, L. Metz and J. Sohl-Dickstein, ICML 2021, arXiv:2112.13835.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PRNGKeyArray

from hopgym.meta.strategies._es import (
    AbstractESSettings,
    round_instances,
    shape_nonfinite,
)
from hopgym.meta.strategies.base import AbstractStrategy, Losses, Weights, setting


@dataclass(frozen=True)
class PESSettings(AbstractESSettings):
    """Meta-hyper-parameters of `PES`.

    **Arguments:** those of [`hopgym.meta.ESSettings`][], and

    - `unroll`: number of steps per run.
    - `truncation`: number of steps per update.
    """

    unroll: int = setting(50_000, "steps per run")
    truncation: int = setting(500, "steps per update")


class PES(AbstractStrategy):
    """ES with an update after every `truncation` steps of runs of length `unroll`.

    theta <- Adam(g),  g = mean over runs of L xi / s^2,

    where L is the loss at the end of the segment and xi the sum of all perturbations
    since the start of the run. So g includes the effect of early perturbations on later
    segments: it is an unbiased estimate of the gradient of the sum of the losses of all
    segments. New runs start after `unroll` steps. Non-finite losses are replaced by the
    largest one of the update.
    """

    settings_class = PESSettings

    def __init__(self, weights: Weights, settings: PESSettings, systems: int):
        # Imported here: importing evosax initialises JAX's backend, and the processes
        # of a run must join before.
        from evosax.algorithms.distribution_based.persistent_es import (
            Params,
            PersistentES,
        )

        self.instances = round_instances(settings.instances, systems)
        self.start_indices = np.tile(np.arange(self.instances), 2)
        self.truncation = settings.truncation
        self._initial = weights
        self._params = Params(T=settings.unroll, K=settings.truncation)
        self._algorithm = PersistentES(
            population_size=2 * self.instances,
            solution=weights,
            optimizer=settings.make_optimizer(),
            std_schedule=optax.constant_schedule(settings.sigma),
            fitness_shaping_fn=shape_nonfinite,
        )

    def init(self, key: PRNGKeyArray) -> Any:
        return self._algorithm.init(key, self._initial, self._params)

    def ask(self, key: PRNGKeyArray, state: Any) -> tuple[Weights, Any]:
        return self._algorithm.ask(key, state, self._params)

    def tell(
        self, key: PRNGKeyArray, state: Any, candidates: Weights, losses: Losses
    ) -> Any:
        losses = jnp.asarray(losses)
        return self._algorithm.tell(key, candidates, losses, state, self._params)[0]

    def get_weights(self, state: Any) -> Weights:
        return self._algorithm.get_mean(state)
