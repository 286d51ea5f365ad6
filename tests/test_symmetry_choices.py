"""Choices of the next epoch, and the evidence on which they are based."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hopgym
from hopgym.optimizers import bh_symmetric
from hopgym.optimizers.symmetry.choices.base import Situation
from hopgym.optimizers.symmetry.choices.beliefs import Beliefs
from hopgym.optimizers.symmetry.choices.by_rates import ByRates
from hopgym.optimizers.symmetry.choices.experience import ByExperience
from hopgym.optimizers.symmetry.choices.halving import SuccessiveHalving
from hopgym.optimizers.symmetry.choices.merit import ByMerit
from hopgym.optimizers.symmetry.choices.network import (
    FINDINGS,
    ByNetwork,
    ChoiceNetwork,
    describe_findings,
)
from hopgym.optimizers.symmetry.choices.single import Single
from hopgym.optimizers.symmetry.choices.thompson import Thompson
from hopgym.optimizers.symmetry.choices.traits import TRAITS, describe_groups
from hopgym.optimizers.symmetry.choices.ucb import UCB
from hopgym.optimizers.symmetry.choices.uniform import Uniform
from hopgym.optimizers.symmetry.evidence import add_end, add_epoch, make_evidence
from hopgym.optimizers.symmetry.rules import Rules
from hopgym.optimizers.symmetry.subspaces import make_subspaces

KEYS = jax.random.split(jax.random.key(0), 4000)


def get_subspaces(name="LJ-38"):
    subspaces = make_subspaces(hopgym.get_system(name))
    assert subspaces is not None
    return subspaces


def record(groups, epochs):
    """Evidence of a list of groups, energies and evaluations."""
    evidence, add = make_evidence(groups, jnp.zeros(()).dtype), jax.jit(add_epoch)
    for group, energy, evaluations in epochs:
        evidence = add(
            evidence,
            jnp.int32(group),
            jnp.asarray(energy, float),
            jnp.int32(evaluations),
            jnp.asarray(True),
        )
    return evidence


def make_situation(subspaces, epochs=()):
    evidence = record(len(subspaces.orders), epochs)
    spent = sum(evaluations for _, _, evaluations in epochs)
    unit = jnp.asarray(2.0)
    return Situation(
        subspaces.logits, evidence, unit, jnp.int32(spent), jnp.int32(len(epochs))
    )


EPOCHS = [(3, -170.0, 500), (3, -172.0, 700), (0, -150.0, 90), (5, -172.5, 800)]


def make_network(weights=0.0):
    inputs = len(TRAITS) + len(FINDINGS)
    network = ChoiceNetwork(jax.random.key(1), inputs, 6)
    score, factors = (
        weights * jax.random.normal(jax.random.key(k), x.shape)
        for k, x in enumerate((network.score, network.factors))
    )
    return eqx.tree_at(lambda n: (n.score, n.factors), network, (score, factors))


def choose(choice, situation):
    return jax.jit(jax.vmap(lambda key: choice.choose(key, Rules(), situation)))(KEYS)


def test_evidence(double):
    rng = np.random.default_rng(0)
    epochs = [(int(rng.integers(4)), rng.normal(-400, 3), 10) for _ in range(60)]
    epochs += [(1, np.inf, 10), (2, np.nan, 10)]
    evidence = record(5, epochs)
    tolerance = 1e-9 if double else 1e-3
    for group in range(4):
        visits = sum(g == group for g, _, _ in epochs)
        own = [e for g, e, _ in epochs if g == group and np.isfinite(e)]
        assert int(evidence.visits[group]) == visits
        assert int(evidence.found[group]) == len(own)
        assert int(evidence.evaluations[group]) == 10 * visits
        for found, expected in (
            (evidence.lowest, min(own)),
            (evidence.mean, np.mean(own)),
            (evidence.spread, np.std(own, ddof=1)),
        ):
            assert float(found[group]) == pytest.approx(expected, abs=tolerance)
    assert evidence.is_tried.tolist() == [True] * 4 + [False]
    assert np.isfinite(evidence.spread).all()


def test_ends_of_epochs():
    """How often each group has come to the lowest energy of all."""
    ends = [(0, np.inf), (1, -10.0), (0, -10.001), (2, np.nan), (0, -9.0), (1, -10.0)]
    ends += [(3, -12.0), (3, -12.01), (1, -11.9)]
    evidence, add = make_evidence(5, jnp.zeros(()).dtype), jax.jit(add_end)
    returns = []
    for group, energy in ends:
        where, energy = jnp.int32(group), jnp.asarray(energy, float)
        skipped = add(evidence, where, energy, 1.0, jnp.asarray(False))
        assert eqx.tree_equal(skipped, evidence)
        evidence = add(evidence, where, energy, 1.0, jnp.asarray(True))
        returns.append(evidence.returns.tolist())
    assert returns[0] == [0] * 5 and returns[5] == [1, 2, 0, 0, 0]
    assert returns[6] == [0, 0, 0, 1, 0] and returns[8] == [0, 0, 0, 2, 0]
    assert float(evidence.deepest) == pytest.approx(-12)


def test_traits():
    subspaces = get_subspaces()
    traits = np.asarray(describe_groups(subspaces, 38))
    assert traits.shape == (37, len(TRAITS)) and np.abs(traits).max() < 2
    row = dict(zip(TRAITS, traits[subspaces.names.index("C5")], strict=True))
    assert row["is_pentagonal"] == 1 and row["is_improper"] == 0
    assert row["left_over"] == pytest.approx(3 / 5)
    assert row["left_over_beside_centre"] == pytest.approx(2 / 5)
    box = np.asarray(describe_groups(get_subspaces("SW-Si64"), 64))
    assert (box[:, TRAITS.index("is_box")] == 1).all()


@pytest.mark.parametrize("epochs", [(), EPOCHS, [(7, np.inf, 5)], EPOCHS * 200])
def test_findings_are_of_the_order_of_one(epochs):
    findings = np.asarray(describe_findings(make_situation(get_subspaces(), epochs)))
    assert findings.shape == (37, len(FINDINGS))
    assert np.isfinite(findings).all() and np.abs(findings).max() < 3


def test_an_untrained_network_decides_as_the_search_of_the_zoo():
    subspaces = get_subspaces()
    situation = make_situation(subspaces, EPOCHS)
    network = ByNetwork(make_network(), describe_groups(subspaces, 38))
    expected, found = (choose(one, situation) for one in (ByMerit(), network))
    assert eqx.tree_equal(expected, found)


def test_a_network_changes_groups_and_rules():
    subspaces = get_subspaces()
    situation = make_situation(subspaces, EPOCHS)
    network = ByNetwork(make_network(3.0), describe_groups(subspaces, 38))
    usual, found = (choose(one, situation) for one in (ByMerit(), network))
    assert (usual.group != found.group).mean() > 0.1
    for factor in (found.patience, found.loose, found.give_up, found.compressed):
        assert (factor >= 0.1).all() and (factor <= 10).all() and (factor != 1).any()


def test_merit():
    """Guided, the best group and untried ones; exploring, as by the prior."""
    subspaces = get_subspaces()
    situation = make_situation(subspaces, EPOCHS)
    groups = choose(ByMerit(), situation).group
    share = np.bincount(groups, minlength=37) / len(KEYS)
    prior = np.asarray(jax.nn.softmax(subspaces.logits))
    merit = np.full(37, -1.0)
    for group, lowest in ((3, -172.0), (0, -150.0), (5, -172.5)):
        merit[group] = (-172.5 - lowest) / (3.0 * 2.0)
    guided = np.asarray(jax.nn.softmax(subspaces.logits + merit))
    expected = 0.62 * prior + 0.38 * guided
    np.testing.assert_allclose(share, expected, atol=5 * np.sqrt(0.25 / len(KEYS)))


def test_experience():
    """Bayes' rule, with nothing but evaluations in vain as evidence."""
    subspaces = get_subspaces()
    rates = np.zeros((3, 37))
    rates[0, 3], rates[1, 5], rates[2, 7] = 3e-3, 2e-3, 1e-2
    rates[0, 8] = rates[1, 8] = 4e-4
    choice = ByExperience(rates, [1.0, 1.0, 0.0])
    for epochs, best in (([], 3), (EPOCHS, 5), ([(3, -170.0, 100)], 3)):
        spent = np.zeros(37)
        for group, _, evaluations in epochs:
            spent[group] += evaluations
        situation = make_situation(subspaces, epochs)
        scores = choice.score(KEYS[0], Rules(), situation)
        weights = np.array([1, 1, 0]) * np.exp(-rates @ spent)
        expected = (weights / weights.sum()) @ rates
        known = expected > 0
        np.testing.assert_allclose(np.exp(scores)[known], expected[known], rtol=1e-4)
        # The best group of the first system, until it was searched in vain.
        assert expected.argmax() == best
        assert (choose(choice, situation).group == best).all()


def test_controls():
    situation = make_situation(get_subspaces(), EPOCHS)
    share = np.bincount(choose(Uniform(), situation).group, minlength=37) / len(KEYS)
    np.testing.assert_allclose(share, 1 / 37, atol=0.015)
    assert (choose(Single(9), situation).group == 9).all()
    rates = np.zeros(len(situation.logits))
    rates[[3, 8]] = 1e-5, 3e-5
    drawn = np.asarray(choose(ByRates(rates), situation).group)
    assert np.isin(drawn, [3, 8]).all()
    assert np.mean(drawn == 8) == pytest.approx(0.75, abs=0.04)


def test_a_search_of_a_single_group():
    system = hopgym.get_system("LJ-13")
    group = get_subspaces("LJ-13").names.index("C3v")
    search = bh_symmetric(system, choice=Single(group))
    rollout = hopgym.Rollout(hopgym.Environment(system), search, jax.random.key(0), 4)
    rollout.advance(600)
    progress = rollout.arrays()[1].progress
    tried = np.asarray(progress.evidence.is_tried)
    assert tried[:, group].all() and tried.sum() == 4
    visits = np.asarray(progress.evidence.visits[:, group])
    # The current epoch may not have ended.
    assert (visits <= progress.epochs).all() and (visits + 1 >= progress.epochs).all()
    assert (progress.evidence.evaluations[:, group] <= progress.evaluations).all()


def play(choice, energies, rounds, subspaces):
    """How often each group is chosen if its epochs have these normal energies."""
    groups = len(subspaces.orders)

    def step(carry, key):
        evidence, epochs = carry
        situation = Situation(
            subspaces.logits, evidence, jnp.asarray(1.0), 100 * epochs, epochs
        )
        choice_key, energy_key = jax.random.split(key)
        group = choice.choose(choice_key, Rules(), situation).group
        mean, spread = (jnp.asarray(x, float)[group] for x in energies)
        energy = mean + spread * jax.random.normal(energy_key)
        evidence = add_epoch(evidence, group, energy, jnp.int32(100), jnp.asarray(True))
        return (evidence, epochs + 1), group

    first = make_evidence(groups, jnp.zeros(()).dtype), jnp.int32(0)
    keys = jax.random.split(jax.random.key(3), rounds)
    _, chosen = jax.jit(lambda: jax.lax.scan(step, first, keys))()
    return np.bincount(chosen, minlength=groups)


OPEN = Beliefs(trust=jnp.array(0.0))


@pytest.mark.parametrize(
    "choice",
    [UCB(OPEN), Thompson(OPEN), SuccessiveHalving()],
    ids=["ucb", "thompson", "halving"],
)
def test_bandits_find_the_better_group(choice):
    subspaces = get_subspaces("LJ-13")
    groups = len(subspaces.orders)
    means, spreads = np.full(groups, -100.0), np.full(groups, 2.0)
    means[11] = -110.0
    visits = play(choice, (means, spreads), 400, subspaces)
    assert visits.argmax() == 11 and visits[11] > 400 / 6
    # Others are not given up for ever.
    assert (visits > 0).sum() > groups / 2


def test_the_prior_is_trusted():
    """The first epoch is in the group of the highest probability."""
    situation = make_situation(get_subspaces())
    for choice in (UCB(), SuccessiveHalving()):
        group = choose(choice, situation).group
        assert (group == jnp.argmax(situation.logits)).all()


@pytest.mark.parametrize("choice", [UCB(), SuccessiveHalving()], ids=["ucb", "halving"])
def test_a_group_that_finds_nothing_is_left(choice):
    subspaces = get_subspaces("LJ-13")
    groups = len(subspaces.orders)
    energies = np.full(groups, -100.0), np.full(groups, 1.0)
    energies[0][subspaces.logits.argmax()] = np.inf
    visits = play(choice, energies, 50, subspaces)
    assert (visits > 0).sum() > 5


def test_the_tail_counts():
    """Of groups with the same mean the one that sometimes gets lower is searched."""
    subspaces = get_subspaces("LJ-13")
    groups = len(subspaces.orders)
    means, spreads = np.full(groups, -100.0), np.full(groups, 1.0)
    spreads[5] = 6.0
    visits = play(Thompson(OPEN, tail=jnp.array(2.0)), (means, spreads), 400, subspaces)
    assert visits.argmax() == 5


def test_halving_tries_all_first():
    subspaces = get_subspaces("LJ-13")
    groups = len(subspaces.orders)
    energies = -np.arange(groups, dtype=float), np.zeros(groups)
    assert (play(SuccessiveHalving(), energies, groups, subspaces) == 1).all()
    visits = play(SuccessiveHalving(), energies, 40 * groups, subspaces)
    best = visits[-1]
    np.testing.assert_allclose(visits[-3:-1], best / 2, rtol=0.1)
    np.testing.assert_allclose(visits[-7:-3], best / 4, rtol=0.15)


@pytest.mark.parametrize(
    "make",
    [
        lambda: UCB(width=jnp.array(-1.0)),
        lambda: Beliefs(worth=jnp.array(0.0)),
        lambda: bh_symmetric(hopgym.get_system("LJ-5"), choice=Single(99)),
        lambda: bh_symmetric(hopgym.get_system("LJ-5"), choice=Single(-1)),
        lambda: bh_symmetric(hopgym.get_system("LJ-5"), choice=ByRates([1.0, 2.0])),
        lambda: ByRates([0.0, 0.0]),
        lambda: ByExperience([[0.1, -0.1]], [1.0]),
        lambda: ByExperience([[0.1, 0.1]], [0.0]),
        lambda: ByExperience([[0.1, 0.1]], [1.0, 1.0]),
        lambda: ByExperience([[0.1, np.nan]], [1.0]),
        lambda: bh_symmetric(
            hopgym.get_system("LJ-5"), choice=ByExperience([[0.1, 0.1]], [1.0])
        ),
        lambda: ByRates([1.0, -1.0]),
    ],
)
def test_arguments(make):
    with pytest.raises(ValueError, match="must be"):
        make()
