"""The driver: starts, chunks, frames, limits, errors, devices."""

import os
import subprocess
import sys
import textwrap

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hopgym
from hopgym.optimizers import AbstractOptimizer, Annealing, adam
from hopgym.systems import HarmonicStart

pytestmark = pytest.mark.optimised

KEY = jax.random.key(5)


@pytest.fixture(scope="module")
def env():
    system = hopgym.get_system("LJ-5")
    return hopgym.Environment(
        eqx.tree_at(lambda s: s.start, system, HarmonicStart(edge=2.0, steps=100))
    )


class Moving(AbstractOptimizer):
    """Adds `amount` to every coordinate."""

    amount: float = eqx.field(static=True)

    def init(self, positions, *, key, context):
        return jnp.asarray(0, jnp.int32)

    def update(self, gradient, state, positions, *, value, context):
        return jnp.full_like(positions, self.amount), state + 1


def test_a_step_is_an_evaluation_and_the_reset_is_one(env):
    result = hopgym.rollout(env, adam(), KEY, 3, 25)
    assert result.steps == 25
    assert result.frames is None
    np.testing.assert_array_equal(result.state.evaluations, [26] * 3)
    np.testing.assert_array_equal(result.state.step, [25] * 3)
    assert result.state.positions.shape == (3, 5, 3)


def test_every_update_is_added_exactly(env):
    given = jnp.stack([env.system.sample(KEY)] * 2)
    state = hopgym.rollout(env, Moving(0.25), KEY, given, 4).state
    np.testing.assert_allclose(state.positions, given + 1.0, rtol=0, atol=1e-6)


def test_frames_are_evenly_spaced_and_the_last_is_the_end(env):
    result = hopgym.rollout(env, adam(), KEY, 2, 30, frames=4, chunk=7)
    frames = result.frames
    assert frames is not None
    np.testing.assert_array_equal(frames.step, [8, 15, 23, 30])
    assert frames.energy.shape == frames.best_energy.shape == (4, 2)
    assert frames.positions.shape == (4, 2, 5, 3)
    np.testing.assert_array_equal(frames.positions[-1], result.state.positions)
    np.testing.assert_array_equal(frames.energy[-1], result.state.energy)
    assert np.all(frames.best_energy <= frames.energy)
    early = hopgym.rollout(env, adam(), KEY, 2, 8).state
    np.testing.assert_array_equal(frames.positions[0], early.positions)


def test_the_result_does_not_depend_on_chunks_and_frames(env):
    optimizer = Annealing(60)
    whole = hopgym.rollout(env, optimizer, KEY, 3, 60, chunk=1000)
    chunks = hopgym.rollout(env, optimizer, KEY, 3, 60, chunk=7, frames=11)
    assert eqx.tree_equal(whole.state, chunks.state)


def test_starts_depend_on_the_key_and_their_number_only(env):
    still = Moving(0.0)
    few = hopgym.rollout(env, still, KEY, 2, 1).state.positions
    many = hopgym.rollout(env, adam(learning_rate=0.0), KEY, 5, 1).state.positions
    np.testing.assert_allclose(few, many[:2], rtol=0, atol=1e-4)
    other = hopgym.rollout(env, still, jax.random.key(6), 2, 1).state.positions
    distances = [float(jnp.max(jnp.abs(a - b))) for a in many for b in many]
    assert sum(d < 1e-2 for d in distances) == len(many)
    assert float(jnp.max(jnp.abs(few - other))) > 1e-2


def test_randomness_of_the_policy_does_not_depend_on_the_number_of_starts(env):
    given = jnp.stack([env.system.sample(KEY)] * 3)
    optimizer = Annealing(5)
    many = hopgym.rollout(env, optimizer, KEY, given, 5).state.positions
    few = hopgym.rollout(env, optimizer, KEY, given[:2], 5).state.positions
    np.testing.assert_allclose(few, many[:2], rtol=0, atol=1e-4)
    assert float(jnp.max(jnp.abs(many[0] - many[1]))) > 1e-3


@pytest.mark.parametrize("starts", [0, -1, jnp.zeros((0, 5, 3))])
def test_no_starts_are_refused(env, starts):
    with pytest.raises(ValueError, match="start"):
        hopgym.rollout(env, adam(), KEY, starts, 10)


@pytest.mark.parametrize("shape", [(5, 3), (2, 4, 3), (2, 5, 2)])
def test_starts_of_another_shape_are_refused(env, shape):
    with pytest.raises(ValueError, match=r"shape \(starts, 5, 3\)"):
        hopgym.rollout(env, adam(), KEY, jnp.zeros(shape), 10)


@pytest.mark.parametrize(
    "numbers", [{"steps": 0}, {"chunk": 0}, {"frames": -1}, {"frames": 11}]
)
def test_senseless_numbers_are_refused(env, numbers):
    with pytest.raises(ValueError, match="steps >= 1, chunk >= 1"):
        hopgym.rollout(env, adam(), KEY, 1, **{"steps": 10, **numbers})


class Faulty(Moving):
    """Does one thing wrong."""

    wrong: str = eqx.field(static=True)

    def update(self, gradient, state, positions, *, value, context):
        update = jnp.zeros_like(positions)
        return {
            "shape": lambda: (update[:, :2], state),
            "flat": lambda: (update.reshape(-1), state),
            "nothing": lambda: (None, state),
            "structure": lambda: (update, (state, state)),
            "dtype": lambda: (update, state.astype(jnp.float32)),
            "state shape": lambda: (update, state[None]),
        }[self.wrong]()


@pytest.mark.parametrize("wrong", ["shape", "flat", "nothing"])
def test_an_update_of_another_shape_is_refused(env, wrong):
    with pytest.raises(ValueError, match=r"displacement of shape \(5, 3\)"):
        hopgym.rollout(env, Faulty(0.0, wrong), KEY, 1, 10)


@pytest.mark.parametrize("wrong", ["structure", "dtype", "state shape"])
def test_a_state_that_changes_its_form_is_refused(env, wrong):
    with pytest.raises(ValueError, match="structure, shapes and dtypes"):
        hopgym.rollout(env, Faulty(0.0, wrong), KEY, 1, 10)


@pytest.mark.parametrize("method", ["init", "update"])
def test_an_optimizer_without_the_methods_is_refused(env, method):
    lacking = type("Lacking", (Moving,), {method: None})
    with pytest.raises(ValueError, match=f"no method '{method}'"):
        hopgym.rollout(env, lacking(0.0), KEY, 1, 10)


def test_updates_that_are_not_finite_count_as_faults_and_do_nothing(env):
    given = env.system.sample(KEY)[None]
    result = hopgym.rollout(env, Moving(float("nan")), KEY, given, 6)
    np.testing.assert_array_equal(result.state.positions, given)
    np.testing.assert_array_equal(result.state.faults, [6 * 15])
    assert hopgym.rollout(env, Moving(0.1), KEY, given, 6).state.faults == 0


def test_progress_is_told_and_may_keep_what_it_gets(env):
    kept = []
    result = hopgym.rollout(
        env,
        adam(),
        KEY,
        2,
        25,
        chunk=10,
        progress=lambda done, state: kept.append((done, state)),
    )
    assert [done for done, _ in kept] == [10, 20, 25]
    for done, state in kept:
        np.testing.assert_array_equal(state.evaluations, [done + 1] * 2)
    assert eqx.tree_equal(kept[-1][1], result.state)


def test_a_time_limit_ends_a_run_between_chunks(env):
    result = hopgym.rollout(
        env, adam(), KEY, 2, 10**7, chunk=50, frames=2, time_limit=0.2
    )
    assert 0 < result.steps < 10**7
    assert result.steps % 50 == 0
    assert result.frames is None
    np.testing.assert_array_equal(result.state.evaluations, [result.steps + 1] * 2)


def test_a_rollout_in_pieces_is_the_rollout(env):
    whole = hopgym.rollout(env, Annealing(12), KEY, 3, 12).state
    pieces = hopgym.Rollout(env, Annealing(12), KEY, 3)
    pieces.advance(5)
    restored = hopgym.Rollout(env, Annealing(12), jax.random.key(9), 3)
    saved = pieces.arrays()
    restored.restore(saved)
    again = hopgym.Rollout(env, Annealing(12), jax.random.key(8), 3)
    restored.advance(1)
    again.restore(saved)  # what was saved is still there
    restored.restore(saved)
    for one in (pieces, restored, again):
        one.advance(7)
        assert_same(one.state, whole)


def test_the_best_is_tracked_anew(env):
    pieces = hopgym.Rollout(env, Moving(0.0), KEY, 2)
    pieces.advance(1)
    apart = hopgym.Rollout(env, Moving(0.0), KEY, 2)
    apart.forget_best()
    assert np.all(np.isposinf(apart.state.best_energy))
    apart.advance(1)
    np.testing.assert_array_equal(apart.state.best_energy, pieces.state.best_energy)


def assert_same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


PROGRAM = """
import sys
import jax, numpy as np
import hopgym
from hopgym.optimizers import Annealing, adam

environment = hopgym.Environment(hopgym.get_system("LJ-5"))
starts = jax.numpy.asarray(np.random.default_rng(0).uniform(0, 2, (5, 5, 3)), float)
found = [len(jax.devices())]
for optimizer in (adam(), Annealing(20)):
    result = hopgym.rollout(
        environment, optimizer, jax.random.key(0), starts, 20, frames=2, chunk=7
    )
    found += [result.state.positions, result.state.evaluations, result.frames.energy]
# In pieces, saved and restored between them, keys included.
system = environment.system
search = hopgym.optimizers.make_optimizer("bh-lbfgs", system=system, steps=20)
pieces = hopgym.Rollout(environment, search, jax.random.key(0), 5)
pieces.advance(9)
restored = hopgym.Rollout(environment, search, jax.random.key(1), 5)
restored.restore(pieces.arrays())
whole = hopgym.rollout(environment, search, jax.random.key(0), 5, 20)
restored.advance(11)
found += [restored.state.positions - whole.state.positions]
quenched = hopgym.quench(environment.system, starts)
found += [quenched.energy, quenched.converged]
np.savez(sys.argv[1], *found)
"""


def test_two_devices_give_what_one_gives(tmp_path, monkeypatch):
    program = textwrap.dedent(PROGRAM)
    paths = [str(tmp_path / f"{devices}.npz") for devices in (1, 2)]
    monkeypatch.setattr(sys, "argv", ["", paths[0]])
    exec(program, {})  # with the one device of this process
    subprocess.run(
        [sys.executable, "-c", program, paths[1]],
        check=True,
        timeout=120,
        env={
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": os.environ["XLA_FLAGS"]
            + " --xla_force_host_platform_device_count=2",
        },
    )
    found = [list(np.load(path).values()) for path in paths]
    assert [int(values[0]) for values in found] == [1, 2]
    for values in found:
        np.testing.assert_array_equal(values[-3], 0)  # whole and in pieces
    for one, two in zip(found[0][1:], found[1][1:], strict=True):
        assert one.shape == two.shape
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-3)
