"""A learned choice: one small network scores every group from what is known."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from hopgym._converters import to_float
from hopgym._unrolled_random import unroll
from hopgym.optimizers.symmetry.choices.base import (
    AbstractChoice,
    AbstractScoredChoice,
    Decision,
    Situation,
)
from hopgym.optimizers.symmetry.choices.merit import ByMerit
from hopgym.optimizers.symmetry.rules import Rules

# Inputs of the network that depend on what was found, after the traits of the group.
FINDINGS = (
    *("is_tried", "visits", "lowest", "mean", "spread", "evaluations", "returns"),
    *("share_of_groups_tried", "all_evaluations", "all_epochs", "all_returns"),
)
FACTORS = ("patience", "loose", "give_up", "compressed")  # of the rules
NEAR, FAR = 2.0, 20.0  # units of energy over which differences are told apart


class ChoiceNetwork(eqx.Module):
    """A perceptron with one hidden layer, applied to each group.

    The weights of its outputs, `score` and `factors`, are zero at first: then it
    changes nothing.

    **Arguments:**

    - `key`: random key of the weights.
    - `inputs`: number of inputs.
    - `hidden`: width of the hidden layer.
    """

    first: Float[Array, "inputs hidden"]
    bias: Float[Array, " hidden"]
    score: Float[Array, " hidden"]
    factors: Float[Array, "hidden factors"]

    def __init__(self, key: PRNGKeyArray, inputs: int, hidden: int):
        drawn = jax.random.normal(unroll(key), (inputs, hidden))
        self.first = to_float(drawn / jnp.sqrt(inputs))
        self.bias = to_float(jnp.zeros(hidden))
        self.score = to_float(jnp.zeros(hidden))
        self.factors = to_float(jnp.zeros((hidden, len(FACTORS))))

    def __call__(
        self, inputs: Float[Array, "groups inputs"]
    ) -> tuple[Float[Array, " groups"], Float[Array, "groups factors"]]:
        """Scores of the groups, and what becomes factors of the rules."""
        hidden = jnp.tanh(inputs @ self.first + self.bias)
        return hidden @ self.score, hidden @ self.factors


class ByNetwork(AbstractChoice):
    """Add the scores of a network to those of another choice, and scale the rules.

    **Arguments:**

    - `network`: the network.
    - `traits`: what does not change of each group.
    - `base`: the other choice.
    """

    network: ChoiceNetwork
    traits: Float[Array, "groups traits"]
    base: AbstractScoredChoice = ByMerit()

    def check(self, groups: int) -> None:
        self.base.check(groups)

    def choose(self, key: PRNGKeyArray, rules: Rules, situation: Situation) -> Decision:
        findings = describe_findings(situation)
        inputs = jnp.concatenate([self.traits, findings], axis=1)
        scores, factors = self.network(inputs)
        group = jnp.argmax(self.base.score(key, rules, situation) + scores)
        # Between a tenth and ten.
        patience, loose, give_up, compressed = 10 ** jnp.tanh(factors[group])
        return Decision(group.astype(jnp.int32), patience, loose, give_up, compressed)


def describe_findings(situation: Situation) -> Float[Array, "groups findings"]:
    """Inputs of the network that depend on what was found, all of the order of 1."""
    evidence, unit = situation.evidence, situation.energy_unit
    tried = evidence.is_tried
    best = jnp.min(evidence.lowest)
    best = jnp.where(jnp.isfinite(best), best, 0)

    def compare(energies, scale):
        above = jnp.where(tried, energies - best, 0)
        return jnp.where(tried, jnp.tanh(above / (scale * unit)), 0)

    shared = (
        jnp.mean(tried),
        jnp.log1p(situation.evaluations) / 10,
        jnp.log1p(situation.epochs) / 5,
        jnp.log1p(jnp.sum(evidence.returns)) / 3,
    )
    spent = evidence.evaluations / jnp.maximum(jnp.sum(evidence.evaluations), 1)
    columns = (
        tried,
        jnp.log1p(evidence.visits) / 3,
        compare(evidence.lowest, NEAR),
        compare(evidence.mean, FAR),
        jnp.tanh(evidence.spread / (FAR * unit)),
        spent,
        jnp.log1p(evidence.returns) / 3,
        *(jnp.broadcast_to(value, tried.shape) for value in shared),
    )
    return jnp.stack([to_float(column) for column in columns], axis=1)
