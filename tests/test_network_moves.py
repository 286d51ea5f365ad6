"""Moves by a network, and restarts of walks."""

import dataclasses
import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hopgym
from hopgym._unrolled_random import unroll
from hopgym.environment import take_step
from hopgym.meta.train import main as train
from hopgym.optimizers import BasinHopping, bh_lbfgs, load
from hopgym.optimizers.basin_hopping import _hop, cluster_moves
from hopgym.optimizers.learned import make_untrained
from hopgym.optimizers.learned.network_moves import (
    INPUTS,
    OUTPUTS,
    MoveNetwork,
    NetworkMoves,
    describe_atoms,
    tell_atoms_apart,
)
from hopgym.optimizers.moves import exchange_two, move_weakest, shake
from hopgym.optimizers.restart_rule import (
    RestartRule,
    follow_walk,
    make_stall,
)

KEY = jax.random.key(0)
LJ13 = hopgym.get_system("LJ-13")
ALLOY = hopgym.get_system("Gupta-Ag19Au19")
SILICON = hopgym.get_system("SW-Si8")
KINDS = {"shake": (1.0, 0, 0), "surface": (0, 1.0, 0), "exchange": (0, 0, 1.0)}


@functools.cache
def draw_start(name):
    """A start of a system, compiled as one program."""
    system = hopgym.get_system(name)
    return jax.jit(lambda: system.sample(KEY))()


def make_network(*, prefers=None, output=None):
    """Zero, or one with an output that rises where the atom is farther than this."""
    network = MoveNetwork(KEY, 4)
    if prefers is None:
        return network
    first = jnp.zeros((INPUTS, 4)).at[-3, 0].set(8.0)
    bias = jnp.zeros(4).at[0].set(-8.0 * prefers)
    last = jnp.zeros((4, len(OUTPUTS))).at[0, OUTPUTS.index(output)].set(30.0)
    return eqx.tree_at(
        lambda n: (n.first, n.bias, n.last), network, (first, bias, last)
    )


def propose(system, kind, network):
    context = hopgym.Environment(system).context
    positions = draw_start(system.name)
    moves = NetworkMoves(network, jnp.array(KINDS[kind]), 0.3)
    one = jnp.ones((), positions.dtype)
    keys = jax.random.split(jax.random.key(1), 50)
    propose_all = jax.jit(
        jax.vmap(lambda key: moves.propose(unroll(key), positions, one, context))
    )
    return np.asarray(positions), np.asarray(propose_all(keys)), context


@pytest.mark.parametrize("system", [LJ13, ALLOY, SILICON], ids=lambda s: s.name)
def test_inputs_are_of_the_order_of_one(system):
    context = hopgym.Environment(system).context
    inputs = describe_atoms(draw_start(system.name), jnp.ones(()), context)
    assert inputs.shape == (system.atoms, INPUTS)
    assert np.isfinite(inputs).all() and np.abs(inputs).max() < 10


def test_without_weights_all_atoms_are_alike():
    positions, proposals, context = propose(ALLOY, "shake", make_network())
    moved = np.abs(proposals - positions).max(axis=0) / float(context.length)
    np.testing.assert_allclose(moved, 0.3, rtol=0.2)
    assert (moved <= 0.3 + 1e-6).all()
    key = jax.random.split(jax.random.split(jax.random.key(1), 50)[7])[1]
    reach = 0.3 * context.length
    expected = jax.jit(lambda key: shake(key, draw_start(ALLOY.name), reach, context))(
        key
    )
    np.testing.assert_allclose(proposals[7], expected, atol=1e-5)
    _, proposals, context = propose(LJ13, "surface", make_network())
    key = jax.random.split(jax.random.split(jax.random.key(1), 50)[7])[1]
    weakest = jax.jit(
        lambda key: move_weakest(key, draw_start(LJ13.name), 1.35, 0.0, context)
    )
    np.testing.assert_allclose(proposals[7], weakest(key), atol=1e-5)


def test_the_network_tells_how_far_atoms_are_shaken():
    start = draw_start(LJ13.name)
    inputs = np.asarray(
        describe_atoms(start, jnp.ones(()), hopgym.Environment(LJ13).context)
    )
    outermost = int(np.argmax(inputs[:, -3]))
    others = np.delete(inputs[:, -3], outermost)
    between = (inputs[outermost, -3] + others.max()) / 2
    network = make_network(prefers=between, output="log_reach")
    positions, proposals, _ = propose(LJ13, "shake", network)
    moved = np.abs(proposals - positions).max(axis=(0, 2))
    assert (
        np.argmax(moved) == outermost
        and moved[outermost] > 2 * np.delete(moved, outermost).mean()
    )


def test_the_network_tells_which_atom_is_moved():
    start = draw_start(LJ13.name)
    network = make_network(prefers=0.0, output="weakness")  # all alike: no change
    context = hopgym.Environment(LJ13).context
    scores = np.zeros(13)
    scores[4] = 100.0
    moved = np.asarray(move_weakest(KEY, start, 1.35, jnp.array(scores), context))
    assert np.flatnonzero(np.any(moved != np.asarray(start), axis=1)).tolist() == [4]
    positions, proposals, _ = propose(LJ13, "surface", network)
    changed = np.any(proposals != positions, axis=2)
    assert (changed.sum(axis=1) == 1).all()


def test_the_network_weighs_the_atoms_that_are_exchanged():
    context = hopgym.Environment(ALLOY).context
    start = draw_start(ALLOY.name)
    species = np.asarray(context.species)
    a, b = np.flatnonzero(species == 0)[3], np.flatnonzero(species == 1)[5]
    logits = jnp.zeros(38).at[jnp.array([a, b])].set(50.0)
    swapped = np.asarray(exchange_two(KEY, start, logits, context))
    changed = np.flatnonzero(np.any(swapped != np.asarray(start), axis=1))
    assert changed.tolist() == sorted([a, b])
    positions, proposals, _ = propose(ALLOY, "exchange", make_network())
    pairs = set()
    for proposal in proposals:
        changed = np.flatnonzero(np.any(proposal != positions, axis=1))
        assert sorted(species[changed].tolist()) == [0, 1]
        pairs.add(tuple(changed.tolist()))
    assert len(pairs) > 40


def test_boxes_have_no_surface():
    positions, proposals, _ = propose(SILICON, "surface", make_network())
    np.testing.assert_array_equal(proposals, np.broadcast_to(positions, (50, 8, 3)))


def test_moves_of_a_search():
    moves = cluster_moves(ALLOY, 0.3, 0.2, 0.5)
    found = tell_atoms_apart(moves, make_network())
    np.testing.assert_allclose(found.shares, [0.3, 0.2, 0.5], rtol=1e-6)
    assert float(found.step_size) == pytest.approx(0.3)
    found = tell_atoms_apart(cluster_moves(SILICON, 0.3, 0.2, 0.5), make_network())
    np.testing.assert_allclose(found.shares, [1, 0, 0])


# Restarts


def test_stalls():
    context = hopgym.Environment(LJ13).context
    stall = make_stall(jnp.zeros(()).dtype)
    counts = []
    for energy in (-30.0, -31.0, -31.0, -30.0, -31.1, np.nan):
        stall = follow_walk(stall, jnp.asarray(energy), context)
        counts.append((int(stall.stalled), int(stall.hops)))
    assert counts == [(0, 1), (0, 2), (1, 3), (2, 4), (0, 5), (1, 6)]
    assert float(stall.lowest) == pytest.approx(-31.1)


@pytest.mark.parametrize("which", range(3))
def test_odds_of_restarts(which):
    stall = dataclasses.replace(
        make_stall(jnp.zeros(()).dtype), stalled=jnp.int32(4), hops=jnp.int32(24)
    )
    weights = np.zeros(3)
    weights[which] = (-1.0, -0.5, -0.25)[which]
    odds = (np.exp(-1.0), 5**-0.5, 25**-0.25)[which]
    rule = RestartRule(weights)
    keys = jax.random.split(KEY, 4000)
    due = np.asarray(jax.vmap(lambda key: rule.is_due(key, stall))(keys))
    assert due.mean() == pytest.approx(odds / (1 + odds), abs=0.03)


def follow(rule, steps=300):
    """Final state of four searches, and the energies after each step."""
    search = dataclasses.replace(bh_lbfgs(LJ13), restart=rule)
    environment = hopgym.Environment(LJ13)

    @jax.jit
    @jax.vmap
    def one(key):
        start = LJ13.sample(key)
        opt_state = search.init(start, key=key, context=environment.context)
        return jax.lax.fori_loop(
            0,
            steps,
            lambda _, run: take_step(environment, search, *run),
            (environment.reset(key, start), opt_state),
        )

    return one(jax.random.split(KEY, 4))


def test_walks_without_restarts_are_those_of_the_zoo():
    never, plain = follow(RestartRule([-200.0, 0.0, 0.0])), follow(None)
    np.testing.assert_array_equal(never[0].positions, plain[0].positions)
    assert (np.asarray(never[1].stall.hops) == np.asarray(plain[1].hops)).all()


def test_walks_that_always_restart():
    _, state = follow(RestartRule([200.0, 0.0, 0.0]))
    assert (np.asarray(state.hops) > 0).all()
    assert (np.asarray(state.stall.hops) == 0).all()
    # The next minimum will be accepted, whatever it is.
    assert np.isinf(np.asarray(state.energy)).all()


def test_restarts_are_uniform_and_moves_keep_their_shares():
    """What is drawn for the restart must not be drawn again for the structure."""
    search = dataclasses.replace(bh_lbfgs(SILICON), restart=RestartRule([-2.0, 0, 0]))
    context = hopgym.Environment(SILICON).context
    start = draw_start(SILICON.name)
    rules = (search.move, 0.8, 0.02, 0.5, search.restart)
    zero = jnp.zeros((), start.dtype)

    def hop(key):
        walk = key, start, zero, zero + 1, None
        last = start, walk, make_stall(start.dtype)
        displacement, (_, minimum, _, scale, _), stall = _hop(
            last, rules, start, zero - 1, context
        )
        return start + displacement, minimum, scale, stall.hops

    keys = jax.random.split(KEY, 3000)
    found, minimum, scale, hops = map(np.asarray, jax.jit(jax.vmap(hop))(keys))
    restarted = hops == 0
    share = 1 / (1 + np.exp(2.0))
    assert restarted.mean() == pytest.approx(share, abs=0.02)
    first = found[restarted, 0] / np.asarray(SILICON.box)
    np.testing.assert_allclose(first.mean(axis=0), 0.5, atol=0.06)
    np.testing.assert_allclose(first.std(axis=0), 12**-0.5, atol=0.04)
    # The walk has left the old minimum, with moves of the first size.
    np.testing.assert_allclose(minimum[restarted], found[restarted], atol=1e-5)
    assert (scale[restarted] == 1).all() and (scale[~restarted] > 1).all()


# Training


def test_train_moves_and_restarts(tmp_path):
    words = ["--optimizer", "bh-lbfgs", "--moves", "network", "--restarts"]
    words += ["--strategy", "sep-cma", "--cma-population", "4", "--cma-starts", "2"]
    words += ["--systems", "Gupta-Ag19Au19", "--unroll", "60", "--loss", "best"]
    words += ["--updates", "2", "--polish", "10", "--evaluation-starts", "8"]
    assert train([*words, "--out", str(tmp_path / "run")]) == 0
    learned: Any = load(tmp_path / "run" / "weights.eqx")
    assert np.any(learned.departures["moves"].last)
    search: Any = learned.for_system(ALLOY)
    assert isinstance(search, BasinHopping) and search.restart is not None
    assert isinstance(search.move, NetworkMoves)


def test_unknown_moves():
    with pytest.raises(ValueError, match="moves must be one of"):
        make_untrained("bh-lbfgs", KEY, moves="best")
    with pytest.raises(ValueError, match="needs 3 numbers"):
        RestartRule([1.0])
    with pytest.raises(ValueError, match="shares must not all be 0"):
        NetworkMoves(make_network(), [0.0, 0.0, 0.0], 0.3)
    with pytest.raises(ValueError, match="step_size"):
        NetworkMoves(make_network(), [1.0, 0.0, 0.0], -0.3)
