"""Evolution strategies with antithetic pairs.

T. Salimans, J. Ho, X. Chen, S. Sidor and I. Sutskever, arXiv:1703.03864 (2017);
Learn2Hop, Eq. 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxtyping import PRNGKeyArray

from hopgym.meta.strategies._es import AbstractES, AbstractESSettings, shape_nonfinite
from hopgym.meta.strategies.base import Losses, Weights


@dataclass(frozen=True)
class ESSettings(AbstractESSettings):
    """Meta-hyper-parameters of `ES`, by default the paper's.

    **Arguments:**

    - `instances`: number of starts per update, of all systems together.
    - `sigma`: standard deviation of perturbations.
    - `learning_rate`: learning rate of Adam.
    - `decay`, `decay_every`: the learning rate is multiplied by `decay` after every
      `decay_every` updates.
    """


class ES(AbstractES):
    """theta <- Adam(g), g = mean over pairs of [L(theta + e) - L(theta - e)] e / 2 s^2.

    Each pair has its own start and its own e, normal with standard deviation s.
    Non-finite losses are replaced by the largest one of the update.
    """

    settings_class = ESSettings
    runs_per_start = 2
    shape_fitness = staticmethod(shape_nonfinite)

    def ask(self, key: PRNGKeyArray, state: Any) -> tuple[Weights, Any]:
        return self._ask_pairs(key, state)

    def tell(
        self, key: PRNGKeyArray, state: Any, candidates: Weights, losses: Losses
    ) -> Any:
        params = self._algorithm.default_params
        return self._tell_pairs(key, state, candidates, losses, params)
