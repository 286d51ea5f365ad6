"""Strategies of meta-training against their equations."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hopgym.meta import (
    STRATEGIES,
    ESMCSettings,
    ESSettings,
    GASettings,
    PESSettings,
)
from hopgym.meta.plan import get_names
from hopgym.meta.strategies import ES, ESMC, GA, PES, SepCMA, SepCMASettings

pytestmark = pytest.mark.optimised

KEY = jax.random.key(11)
WEIGHTS = {"a": jnp.array([0.5, -1.0, 2.0]), "b": jnp.array(0.25)}
SIGMA = 0.1


def flat(tree):
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])


def rows(tree):
    leaves = [np.asarray(x).reshape(len(x), -1) for x in jax.tree.leaves(tree)]
    return np.concatenate(leaves, axis=1)


def bowl(candidates, instances):
    """A loss with a minimum that depends on the instance, and noise for none."""
    target = np.array([1.0, 1.0, 1.0, 1.0]) + 0.3 * (instances % 5)[:, None]
    return ((rows(candidates) - target) ** 2).sum(axis=1).astype(np.float32)


def adam_step(gradient, settings):
    optimizer = settings.make_optimizer()
    state = optimizer.init(jnp.zeros(4))
    moved, _ = optimizer.update(jnp.asarray(gradient, jnp.float32), state)
    return np.asarray(moved)


@functools.cache
def make_strategy(name, **values):
    """A strategy with those values that are settings of its own."""
    strategy = STRATEGIES[name]
    own = {k: v for k, v in values.items() if k in get_names(strategy)}
    return strategy(WEIGHTS, strategy.settings_class(**own), 1)


def first_update(strategy, losses):
    state = strategy.init(KEY)
    np.testing.assert_allclose(flat(strategy.get_weights(state)), flat(WEIGHTS))
    asked, state = strategy.ask(KEY, state)
    given = losses(asked)
    return asked, given, strategy.tell(KEY, state, asked, given)


def test_es_is_equation_3():
    settings = ESSettings(instances=6)
    strategy = ES(WEIGHTS, settings, 1)
    asked, losses, state = first_update(
        strategy, lambda asked: bowl(asked, strategy.start_indices)
    )
    theta = flat(WEIGHTS)
    gradient = np.zeros(4)
    candidates = rows(asked)
    for k in range(6):
        eps = candidates[k] - theta
        np.testing.assert_allclose(candidates[6 + k] - theta, -eps, atol=1e-6)
        assert strategy.start_indices[k] == strategy.start_indices[6 + k] == k
        gradient += (losses[k] - losses[6 + k]) / (2 * SIGMA**2) * eps / 6
    expected = theta + adam_step(gradient, settings)
    np.testing.assert_allclose(flat(strategy.get_weights(state)), expected, atol=1e-5)
    spread = (candidates[:6] - theta).std()
    assert 0.05 < spread < 0.15


def test_esmc_is_equation_4_with_a_baseline_for_each_start():
    settings = ESMCSettings(instances=6)
    strategy = ESMC(WEIGHTS, settings, 1)
    asked, losses, state = first_update(
        strategy, lambda asked: bowl(asked, strategy.start_indices)
    )
    theta = flat(WEIGHTS)
    candidates = rows(asked)
    np.testing.assert_array_equal(candidates[12:], np.tile(theta, (6, 1)))
    gradient = np.zeros(4)
    for k in range(6):
        plus, minus, own = losses[k], losses[6 + k], losses[12 + k]
        assert (
            strategy.start_indices[k]
            == strategy.start_indices[6 + k]
            == strategy.start_indices[12 + k]
        )
        difference = min(own, plus) - min(own, minus)
        gradient += difference / (2 * SIGMA**2) * (candidates[k] - theta) / 6
    expected = theta + adam_step(gradient, settings)
    np.testing.assert_allclose(flat(strategy.get_weights(state)), expected, atol=1e-5)


def test_adam_has_the_papers_schedule():
    optimizer = ESMCSettings().make_optimizer()
    state = optimizer.init(jnp.zeros(1))
    steps = []
    for _ in range(21):
        moved, state = optimizer.update(jnp.ones(1), state)
        assert isinstance(moved, jax.Array)
        steps.append(-float(moved[0]))
    for update, expected in ((0, 1e-2), (9, 1e-2), (10, 9.8e-3), (20, 9.604e-3)):
        assert steps[update] == pytest.approx(expected, rel=1e-4)


def test_ga_takes_the_best_on_the_same_starts_and_keeps_theta_otherwise():
    strategy = GA(WEIGHTS, GASettings(population=8, ga_starts=3), 1)
    asked, losses, state = first_update(
        strategy, lambda asked: bowl(asked, strategy.start_indices)
    )
    theta = flat(WEIGHTS)
    np.testing.assert_array_equal(strategy.start_indices, np.tile([0, 1, 2], 8))
    candidates = rows(asked).reshape(8, 3, 4)
    assert np.all(candidates == candidates[:, :1])
    np.testing.assert_array_equal(candidates[0, 0], theta)
    assert 0.05 < (candidates[1:, 0] - theta).std() < 0.15
    best = losses.reshape(8, 3).mean(axis=1).argmin()
    np.testing.assert_allclose(flat(strategy.get_weights(state)), candidates[best, 0])
    # Nothing better in the next generation: theta stays, whatever it had before.
    asked, state = strategy.ask(jax.random.key(1), state)
    worse = np.r_[np.full(3, 100.0), np.full(21, 101.0)]
    state = strategy.tell(KEY, state, asked, worse)
    np.testing.assert_allclose(flat(strategy.get_weights(state)), candidates[best, 0])
    # Equally good is not better.
    asked, state = strategy.ask(jax.random.key(2), state)
    state = strategy.tell(KEY, state, asked, np.full(24, 7.0))
    np.testing.assert_allclose(flat(strategy.get_weights(state)), candidates[best, 0])


def test_sep_cma_takes_the_weighted_mean_of_the_better_half():
    """N. Hansen, arXiv:1604.00772, Eqs. 6 and 49."""
    settings = SepCMASettings(cma_population=10, cma_starts=3, cma_sigma=0.2)
    strategy = SepCMA(WEIGHTS, settings, 1)
    asked, losses, state = first_update(
        strategy, lambda asked: bowl(asked, strategy.start_indices)
    )
    candidates = rows(asked).reshape(10, 3, -1)
    np.testing.assert_array_equal(candidates[:, :1], candidates[:, 1:2])
    order = np.argsort(losses.reshape(10, 3).mean(axis=1))
    share = np.log(5.5) - np.log(np.arange(1, 6))
    expected = share @ candidates[order[:5], 0] / share.sum()
    np.testing.assert_allclose(flat(strategy.get_weights(state)), expected, rtol=1e-5)
    assert 0.1 < candidates[:, 0].std(axis=0).mean() < 0.3


@pytest.mark.parametrize(("unroll", "pieces"), [(100, 2), (120, 3)])
def test_pes_sums_the_perturbations_of_a_run(unroll, pieces):
    settings = PESSettings(instances=4, unroll=unroll, truncation=50)
    strategy = PES(WEIGHTS, settings, 1)
    assert strategy.truncation == 50
    state = strategy.init(KEY)
    optimizer = settings.make_optimizer()
    opt_state = optimizer.init(jnp.zeros(4))
    theta, summed = flat(WEIGHTS), np.zeros((8, 4))
    for piece in range(pieces + 1):
        if piece == pieces:  # all runs have begun anew
            summed[:] = 0
        asked, state = strategy.ask(jax.random.fold_in(KEY, piece), state)
        summed += rows(asked) - theta
        losses = bowl(asked, strategy.start_indices)
        gradient = (losses[:, None] * summed).sum(axis=0) / SIGMA**2 / 8
        moved, opt_state = optimizer.update(
            jnp.asarray(gradient, jnp.float32), opt_state
        )
        theta = np.asarray(optax.apply_updates(jnp.asarray(theta), moved))
        state = strategy.tell(KEY, state, asked, losses)
        np.testing.assert_allclose(flat(strategy.get_weights(state)), theta, atol=1e-5)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", STRATEGIES)
def test_losses_that_are_not_finite_poison_nothing(name, poison):
    strategy = make_strategy(name, instances=4, population=5)
    state = strategy.init(KEY)
    for spoiled in (slice(0, 3), slice(None)):
        asked, state = strategy.ask(KEY, state)
        losses = bowl(asked, strategy.start_indices)
        losses[spoiled] = poison
        state = strategy.tell(KEY, state, asked, losses)
        assert np.all(np.isfinite(flat(strategy.get_weights(state))))
    before = flat(strategy.get_weights(state))
    asked, state = strategy.ask(KEY, state)
    losses = bowl(asked, strategy.start_indices)
    state = strategy.tell(KEY, state, asked, losses)
    assert not np.allclose(flat(strategy.get_weights(state)), before)


def test_a_candidate_whose_loss_is_not_finite_never_wins():
    strategy = GA(WEIGHTS, GASettings(population=5, ga_starts=1), 1)
    asked, _, state = first_update(
        strategy, lambda asked: np.array([3.0, -np.inf, 2.0, np.nan, 2.5])
    )
    np.testing.assert_allclose(
        flat(strategy.get_weights(state)), rows(asked)[2], atol=1e-7
    )


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_few_updates_find_the_bowl(name):
    strategy = make_strategy(
        name, instances=40, learning_rate=0.05, unroll=5, truncation=5
    )
    state = strategy.init(KEY)

    def distance():
        return np.abs(flat(strategy.get_weights(state)) - 1.6).max()

    before = distance()
    for update in range(60):
        key = jax.random.fold_in(KEY, update)
        asked, state = strategy.ask(key, state)
        losses = bowl(asked, strategy.start_indices)
        state = strategy.tell(key, state, asked, losses)
    assert distance() < 0.4 * before


@pytest.mark.parametrize(("systems", "expected"), [(1, 80), (6, 78), (100, 100)])
def test_instances_are_shared_out_over_systems(systems, expected):
    assert ESMC(WEIGHTS, ESMCSettings(), systems).instances == expected
    assert GA(WEIGHTS, GASettings(), systems).instances == max(3, systems)


@pytest.mark.parametrize(
    "wrong",
    [
        {"instances": 0},
        {"truncation": 0},
        {"sigma": 0.0},
        {"sigma": float("nan")},
        {"decay": -1.0},
    ],
)
def test_senseless_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        PESSettings(**wrong)
