"""Evolution strategies with meta-loss clipping (Learn2Hop, Eq. 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import PRNGKeyArray

from hopgym.meta.strategies._es import AbstractES, AbstractESSettings
from hopgym.meta.strategies.base import Losses, Weights, repeat, replace_nonfinite


@dataclass(frozen=True)
class ESMCSettings(AbstractESSettings):
    """Meta-hyper-parameters of `ESMC`, by default the paper's.

    **Arguments:** those of [`hopgym.meta.ESSettings`][].
    """


@struct.dataclass
class Baseline:
    """Losses of the unperturbed weights on the start of each antithetic pair."""

    losses: jax.Array


def clip_to_baseline(population, fitness, state, params: Baseline):
    """min[L(theta), L(theta +- e)] with the baseline L(theta) of the same start.

    (The ESMC of evosax has one baseline for all starts.) A non-finite loss is replaced
    by its baseline.
    """
    baseline = jnp.tile(replace_nonfinite(params.losses), 2)
    return jnp.where(jnp.isfinite(fitness), jnp.minimum(fitness, baseline), baseline)


class ESMC(AbstractES):
    """ES with losses clipped at that of the unperturbed weights.

    theta <- Adam(g), where g is the mean over pairs of

        { min[L(theta), L(theta + e)] - min[L(theta), L(theta - e)] } e / 2 s^2.

    All three losses of a pair are from the same start: a perturbation counts on starts
    where it lowers the loss, however much it raises the loss on others.
    """

    settings_class = ESMCSettings
    runs_per_start = 3
    shape_fitness = staticmethod(clip_to_baseline)

    def ask(self, key: PRNGKeyArray, state: Any) -> tuple[Weights, Any]:
        perturbed, state = self._ask_pairs(key, state)
        unperturbed = repeat(self.get_weights(state), self.instances)
        candidates = jax.tree.map(
            lambda *parts: jnp.concatenate(parts), perturbed, unperturbed
        )
        return candidates, state

    def tell(
        self, key: PRNGKeyArray, state: Any, candidates: Weights, losses: Losses
    ) -> Any:
        count = 2 * self.instances
        baseline = Baseline(jnp.asarray(losses[count:]))
        perturbed = jax.tree.map(lambda x: x[:count], candidates)
        return self._tell_pairs(key, state, perturbed, losses[:count], baseline)
