"""The meta-loss, batched runs, schedules."""

import os
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from optimizer_runs import descend

import hopgym
from hopgym.meta import (
    BatchedUnroll,
    batched_unroll,
    meta_loss,
    scaled_loss,
    schedule,
)
from hopgym.meta.unroll import HIT_KINDS, LOSS_KINDS
from hopgym.optimizers import LBFGS, GradientDescent, Learn2Hop, adam
from hopgym.systems import HarmonicStart

KEY = jax.random.key(11)


def test_losses_are_bounded_and_scaled():
    system = hopgym.get_system("LJ-13")
    energies = jnp.array([-44.3268, -20.0, 5.0, jnp.nan, jnp.inf, -jnp.inf, -100.0])
    expected = [-1, -20 / 44.326801, 0, 0, 0, 0, 0]
    np.testing.assert_allclose(scaled_loss(energies, system), expected, atol=1e-5)
    expected[2] = 5 / 44.326801
    found = scaled_loss(energies, system, bounded=False)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_kinds_of_meta_loss_are_what_they_say():
    system = hopgym.get_system("LJ-5")
    optimizer = GradientDescent(rate=3e-2)  # too long a step: it jumps about
    start_key, _ = jax.random.split(KEY)
    env = hopgym.Environment(system)
    begin = eqx.filter_jit(system.sample)(start_key)
    state, energies = env.reset(KEY, begin), []
    step = eqx.filter_jit(lambda s: env.step(s, -3e-2 * s.gradient.clip(-100, 100)))
    for _ in range(40):
        state = step(state)
        energies.append(float(state.energy))
    assert int(state.first_hit) < 0
    final = hopgym.polish(system, state.positions).energy
    best = hopgym.polish(system, state.best_positions).energy
    scale = float(system.energy_scale)
    missed = np.exp(float(system.reference - state.best_energy) / 5)
    expected = {
        "final": min(float(final), 0) / scale,
        "best": min(float(best), 0) / scale,
        "average": np.mean(np.minimum(energies, 0)) / scale,
        "first-hit": 1 - 0.3 * missed,
        "hit-share": 1.2 - 0.1 * missed,
    }
    found = eqx.filter_jit(
        lambda: {
            kind: meta_loss(optimizer, system, KEY, 40, kind) for kind in LOSS_KINDS
        }
    )()
    assert len(set(expected.values())) > 1
    for kind in LOSS_KINDS:
        assert float(found[kind]) == pytest.approx(expected[kind], abs=2e-5)


def test_a_first_hit_counts_by_its_share_of_the_evaluations():
    system, steps, key = hopgym.get_system("LJ-4"), 200, jax.random.key(3)
    optimizer = LBFGS(max_step=0.2)
    start_key, _ = jax.random.split(key)
    begin = eqx.filter_jit(system.sample)(start_key)
    result = hopgym.rollout(
        hopgym.Environment(system), optimizer, key, begin[None], steps
    )
    hit = int(result.state.first_hit[0])
    assert 1 < hit < steps
    losses = {
        kind: float(eqx.filter_jit(meta_loss)(optimizer, system, key, steps, kind))
        for kind in HIT_KINDS
    }
    share = hit / (steps + 1)
    assert losses["first-hit"] == pytest.approx(np.log(share), rel=1e-5)
    assert losses["hit-share"] == pytest.approx(share, rel=1e-5)


def test_senseless_meta_losses_are_refused():
    system = hopgym.get_system("LJ-5")
    with pytest.raises(ValueError, match="one of"):
        meta_loss(adam(), system, KEY, 10, "last")
    with pytest.raises(ValueError, match="at least one update"):
        meta_loss(adam(), system, KEY, 0)


# Batched runs


def short(name="LJ-5"):
    start = HarmonicStart(edge=2.0, steps=100)
    return eqx.tree_at(lambda s: s.start, hopgym.get_system(name), start)


def many(model, count):
    weights = eqx.filter(model, eqx.is_inexact_array)
    keys = jax.random.split(KEY, count)
    return jax.tree.map(
        lambda x: x + 0.05 * jax.vmap(lambda k: jax.random.normal(k, x.shape))(keys),
        weights,
    )


def test_runs_of_a_batch_are_single_runs():
    system, model = short(), Learn2Hop(KEY, hidden=4, kinds=1)
    batched = BatchedUnroll(system, model, polish_steps=10)
    weights = many(model, 5)
    instances = np.array([0, 1, 1, 7, 0])
    runs = batched.begin(KEY, weights, instances)
    starts = np.asarray(batched.fetch(runs, 5).state.positions)
    np.testing.assert_array_equal(starts[1], starts[2])
    np.testing.assert_array_equal(starts[0], starts[4])
    assert np.abs(starts[0] - starts[3]).max() > 1e-2
    runs = batched.advance(weights, batched.advance(weights, runs, 7), 13)
    found = batched.fetch(runs, 5)
    env = hopgym.Environment(system)
    alone = eqx.filter_jit(lambda o, x: descend(env, o, x, 20))
    for k in (0, 3, 4):
        optimizer = jax.tree.map(lambda x, k=k: x[k], weights)
        state = alone(eqx.combine(optimizer, model), jnp.asarray(starts[k]))
        np.testing.assert_allclose(
            found.state.positions[k], state.positions, rtol=0, atol=1e-5
        )
        assert found.state.evaluations[k] == 21
    outcome = batched.judge(runs, 5)
    losses = batched.losses(runs, 5, 20, "best")
    expected = scaled_loss(jnp.asarray(outcome.best), system)
    np.testing.assert_allclose(losses, expected, atol=1e-6)


def test_runs_that_may_end_at_their_hits_have_the_losses_of_those_that_go_on(
    monkeypatch,
):
    monkeypatch.setattr(batched_unroll, "ATOMS_AT_ONCE", 10)  # two runs at once
    monkeypatch.setattr(batched_unroll, "STEPS_AT_ONCE", 7)
    system, model, rows, steps = short(), LBFGS(max_step=0.2), 7, 120
    weights, instances = many(model, rows), np.arange(rows)
    found, losses = [], []
    for until_hit in (False, True):
        batched = BatchedUnroll(system, model, until_hit=until_hit)
        runs = batched.begin(KEY, weights, instances)
        for _ in range(steps // 40):
            runs = batched.advance(weights, runs, 40)
        found.append(batched.fetch(runs, rows).state)
        losses.append(batched.losses(runs, rows, steps, "first-hit"))
    on, ended = found
    hit = on.first_hit > 0
    assert 2 <= hit.sum() < rows
    np.testing.assert_array_equal(ended.first_hit, on.first_hit)
    np.testing.assert_array_equal(losses[1], losses[0])
    np.testing.assert_array_equal(ended.evaluations[~hit], steps + 1)
    np.testing.assert_array_equal(on.evaluations, steps + 1)
    assert ended.evaluations[hit].sum() < on.evaluations[hit].sum()


DEVICES = """
import sys
from pathlib import Path
import jax, numpy as np
sys.path.insert(0, sys.argv[2])
import test_meta as t
from epoch_files import write_epochs
from hopgym.meta import ReplayedUnroll
from hopgym.optimizers.learned import make_untrained

model = t.Learn2Hop(t.KEY, hidden=4, kinds=1)
batched = t.BatchedUnroll(t.short(), model, polish_steps=10)
weights = t.many(model, 5)
runs = batched.begin(t.KEY, weights, np.array([0, 1, 1, 7, 0]))
runs = batched.advance(weights, runs, 20)
found = batched.fetch(runs, 5)

descent = t.LBFGS(max_step=0.2)
until_hit = t.BatchedUnroll(t.short(), descent, until_hit=True)
weights = t.many(descent, 7)
ended = until_hit.begin(t.KEY, weights, np.arange(7))
ended = until_hit.advance(weights, ended, 120)

search = make_untrained("bh-symmetric", t.KEY)
folder = Path(sys.argv[1]).with_suffix(".epochs")
write_epochs(folder, "LJ-13", hits=range(9), energy=-40.0)
replayed = ReplayedUnroll([t.hopgym.get_system("LJ-13")], search, folder)
weights = t.many(search, 7)
played = replayed.begin(t.KEY, weights, np.arange(7), np.zeros(7, int))
played = replayed.advance(weights, played, 900)
np.savez(
    sys.argv[1],
    devices=len(jax.devices()),
    positions=found.state.positions,
    losses=batched.losses(runs, 5, 20, "final"),
    first_hit=until_hit.fetch(ended, 7).state.first_hit,
    replayed=replayed.losses(played, 7, 900, "first-hit"),
)
"""


def test_two_devices_give_what_one_gives(tmp_path, monkeypatch):
    paths = [str(tmp_path / f"{count}.npz") for count in (1, 2)]
    here = os.path.dirname(__file__)
    monkeypatch.setattr(sys, "argv", ["", paths[0], here])
    exec(DEVICES, {})  # with the one device of this process
    flags = os.environ["XLA_FLAGS"] + " --xla_force_host_platform_device_count=2"
    subprocess.run(
        [sys.executable, "-c", DEVICES, paths[1], here],
        check=True,
        timeout=300,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags},
    )
    found = [dict(np.load(path)) for path in paths]
    assert [int(values["devices"]) for values in found] == [1, 2]
    assert 2 <= (found[0]["first_hit"] > 0).sum() < 7
    assert len(set(found[0]["replayed"])) > 2
    for name in ("positions", "losses", "first_hit", "replayed"):
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=1e-5, atol=1e-5)


# Schedules


def test_schedules():
    parsed = schedule.parse("2000, 10000@300,50@10", int)
    assert parsed == [(0, 2000), (300, 10000), (10, 50)]
    for update, expected in ((0, 2000), (9, 2000), (10, 50), (299, 50), (300, 10000)):
        assert schedule.get_value(parsed, update) == expected
    assert schedule.get_active([(0, "a"), (5, "b")], 4) == [0]
    assert schedule.get_active([(0, "a"), (5, "b")], 5) == [0, 1]
    for wrong in ("", "5@", "5@x", "@3", "5@-1"):
        with pytest.raises(ValueError, match="VALUE"):
            schedule.parse(wrong, int)
