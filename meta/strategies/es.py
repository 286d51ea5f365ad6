"""Evolution strategies with antithetic pairs.

T. Salimans, J. Ho, X. Chen, S. Sidor and I. Sutskever, arXiv:1703.03864 (2017);
Learn2Hop, Eq. 3.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from hopgym.meta.strategies.base import (
    AbstractStrategy,
    Asked,
    Losses,
    Settings,
    Weights,
    antithetic,
    each,
    lost_is_worst,
)


class ES(AbstractStrategy):
    """theta <- Adam(g), g = mean over pairs of [L(theta + e) - L(theta - e)] e / 2 s^2.

    Each pair has its own start and its own e, normal with standard deviation s. A loss
    that is not finite counts as the worst of the update.
    """

    def __init__(self, weights: Weights, settings: Settings, systems: int):
        self.instances = each(settings.instances, systems) * systems
        self._start = weights
        self._algorithm = antithetic(weights, settings, self.instances, lost_is_worst)

    def init(self, key: PRNGKeyArray) -> Any:
        params = self._algorithm.default_params
        return self._algorithm.init(key, self._start, params)

    def ask(self, key: PRNGKeyArray, state: Any) -> tuple[Asked, Any]:
        candidates, state = self._algorithm.ask(
            key, state, self._algorithm.default_params
        )
        return Asked(candidates, np.tile(np.arange(self.instances), 2)), state

    def tell(self, key: PRNGKeyArray, state: Any, asked: Asked, losses: Losses) -> Any:
        state, _ = self._algorithm.tell(
            key,
            asked.candidates,
            jnp.asarray(losses),
            state,
            self._algorithm.default_params,
        )
        return state

    def weights(self, state: Any) -> Weights:
        return self._algorithm.get_mean(state)
