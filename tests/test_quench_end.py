"""Quenches that are ended early."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hopgym
from hopgym.environment import take_step
from hopgym.optimizers import bh_lbfgs, bh_symmetric
from hopgym.optimizers.learned import make_untrained
from hopgym.optimizers.quench_end import FITTED, Forecast, QuenchEnd
from hopgym.optimizers.symmetry.progress import Phase

KEY = jax.random.key(0)
LJ13 = hopgym.get_system("LJ-13")
NEVER = np.array([50.0, 0, 0, 0, 0, 0])


SEARCHES = {"bh-lbfgs": bh_lbfgs, "bh-symmetric": bh_symmetric}


def make_search(name, weights=FITTED):
    return dataclasses.replace(SEARCHES[name](LJ13), quench_end=QuenchEnd(weights))


def is_in_vain(end, value, *, allowed=-44.0, last=-30.0, force=0.1):
    gradient = jnp.zeros((13, 3)).at[4, 1].set(force)
    return bool(
        end.is_in_vain(
            Forecast(jnp.asarray(allowed), jnp.asarray(last)),
            jnp.asarray(value),
            gradient,
            -0.01 * gradient,
            jnp.int32(20),
            hopgym.Environment(LJ13).context,
        )
    )


def test_expected_fall():
    end = QuenchEnd(np.array([np.log(5.0), 0, 0, 0, 0, 0]))
    assert is_in_vain(end, -38.9) and not is_in_vain(end, -39.1)
    # Nothing is known at the first structure, or if the energy rises.
    assert not is_in_vain(end, -38.9, last=np.inf)
    assert not is_in_vain(end, -38.9, last=-39.0)
    assert not is_in_vain(end, -38.9, allowed=np.inf)
    assert not is_in_vain(end, -45.0)


@pytest.mark.parametrize(
    "index, value",
    # Decrement 1e-4, largest force 0.1, last fall 1.1, height 12.9; 21 evaluations.
    [(1, 1e-4), (2, 0.1), (3, 1.1), (4, 21.0), (5, 12.9)],
)
def test_inputs(index, value):
    for shift, expected in ((-1e-3, True), (1e-3, False)):
        weights = np.zeros(6)
        weights[index] = 0.5
        weights[0] = np.log(12.9) - 0.5 * np.log(value) + shift
        assert is_in_vain(QuenchEnd(weights), -31.1) == expected


@pytest.mark.parametrize("name", SEARCHES)
def test_if_none_is_in_vain_it_is_the_search_of_the_zoo(name):
    environment = hopgym.Environment(LJ13)
    states = [
        hopgym.rollout(environment, search, KEY, 3, 400).state
        for search in (SEARCHES[name](LJ13), make_search(name, NEVER))
    ]
    np.testing.assert_array_equal(states[0].positions, states[1].positions)


def follow(environment, search, step, length):
    """What `step` returns of each step of a run."""

    @jax.jit
    def run():
        positions = LJ13.sample(KEY)
        opt_state = search.init(positions, key=KEY, context=environment.context)
        first = environment.reset(KEY, positions), opt_state
        return jax.lax.scan(step, first, None, length=length)[1]

    return {name: np.asarray(x) for name, x in run().items()}


def test_what_will_be_accepted_is_known_before():
    environment, search = hopgym.Environment(LJ13), make_search("bh-lbfgs")

    def step(run, _):
        after = take_step(environment, search, *run)
        (state, before), (_, opt_state) = run, after
        return after, {
            "hop": opt_state.hops > before.hops,
            "accepted": jnp.any(opt_state.positions != before.positions),
            "allowed": state.energy < before.forecast.allowed,
            "evaluations": before.evaluations,
        }

    found = follow(environment, search, step, 2000)
    hop = found["hop"]
    accepted = found["accepted"][hop]
    np.testing.assert_array_equal(accepted, found["allowed"][hop])
    # Quenches that are ended early are rejected ones.
    spent = found["evaluations"][hop]
    assert 0.1 < accepted.mean() < 0.9
    assert spent[~accepted].mean() < 0.8 * spent[accepted].mean()


def test_what_will_be_accepted_in_subspaces_is_known_before():
    environment, search = hopgym.Environment(LJ13), make_search("bh-symmetric")
    hops = (Phase.HOP, Phase.FREE, Phase.WALK)

    def step(run, _):
        after = take_step(environment, search, *run)
        (state, before), (_, opt_state) = run, after
        old, new = before.progress, opt_state.progress
        is_walk = old.phase == Phase.WALK
        moved = jnp.where(
            is_walk,
            jnp.any(new.walk.positions != old.walk.positions),
            jnp.any(new.epoch.positions != old.epoch.positions),
        )
        return after, {
            "hop": new.hops > old.hops,
            "phase": old.phase,
            "next": new.phase,
            "accepted": moved,
            "allowed": state.energy < before.forecast.allowed,
            "finite": jnp.isfinite(before.forecast.allowed),
        }

    found = follow(environment, search, step, 4000)
    # The start of a quench from the epoch's best structure changes the current one.
    hop = found["hop"] & np.isin(found["phase"], hops)
    hop = hop & np.isin(found["next"], hops) & found["finite"]
    assert hop.sum() > 50
    for phase in hops:
        own = hop & (found["phase"] == phase)
        assert own.any()
        np.testing.assert_array_equal(found["accepted"][own], found["allowed"][own])
    # New epochs and tight quenches are accepted whatever they find.
    is_new = np.isin(found["phase"], (Phase.INITIAL, Phase.START, Phase.POLISH))
    assert not found["finite"][is_new].any() and is_new.any()


@pytest.mark.parametrize("name", SEARCHES)
def test_it_can_be_learned(name):
    search: Any = make_untrained(name, KEY, quench_end=True)
    own = search.for_system(LJ13)
    np.testing.assert_allclose(own.quench_end.weights, FITTED, rtol=1e-6)
    plain: Any = make_untrained(name, KEY)
    assert plain.for_system(LJ13).quench_end is None


def test_weights():
    with pytest.raises(ValueError, match="weights needs 6 numbers"):
        QuenchEnd(np.zeros(5))
