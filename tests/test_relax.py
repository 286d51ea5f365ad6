"""Quench and polish, and L-BFGS as what quenches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import hopgym
from hopgym.optimizers import LBFGS, adam

pytestmark = pytest.mark.optimised


@pytest.fixture(scope="module")
def lj7():
    return hopgym.get_system("LJ-7")


@pytest.fixture(scope="module")
def starts(lj7):
    """Sixteen random starts: batches of this size are compiled once."""
    keys = jax.random.split(jax.random.key(0), 16)
    return np.asarray(jax.jit(jax.vmap(lj7.sample))(keys))


def displace(positions, size, seed):
    noise = np.random.default_rng(seed).normal(scale=size, size=positions.shape)
    return (positions + noise).astype(positions.dtype)


def test_quench_reaches_known_minima(lj7, starts):
    """LJ-7 has four minima, and every quench must end in one of them."""
    quenched = hopgym.quench(lj7, jnp.asarray(starts))
    known = np.array([-16.505384, -15.935043, -15.593211, -15.533060])
    distance = np.abs(np.asarray(quenched.energy)[:, None] - known).min(axis=1)
    assert bool(quenched.converged.all())
    assert float(quenched.force.max()) < 1e-3
    np.testing.assert_allclose(distance, 0, atol=2e-5)
    assert int(quenched.evaluations.min()) > 1


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"optimizer": "fire"}, "optimizer of the kind AbstractLocalOptimizer"),
        ({"optimizer": adam()}, "AbstractLocalOptimizer"),
        ({"steps": 1.5}, "steps must be an integer"),
        ({"steps": -1}, "steps must be an integer"),
        ({"system": "LJ-7"}, "needs a hopgym.System, got 'LJ-7'"),
        ({"positions": "near"}, "real numbers are needed"),
    ],
)
def test_arguments_of_quenches(lj7, unchecked, arguments, message):
    usual = {"system": lj7, "positions": jnp.zeros((7, 3))}
    with pytest.raises(ValueError, match=message):
        hopgym.quench(**(usual | arguments))


def test_a_relaxed_cluster_far_from_the_origin_converges(lj7, starts):
    """Learned optimizers let clusters drift, and leave them nearly relaxed."""
    minimum = hopgym.quench(lj7, jnp.asarray(starts))
    place = np.array([300.0, -60.0, 0.0], np.float32)
    near = displace(np.asarray(minimum.positions), 1e-3, 1)
    quenched = hopgym.quench(lj7, jnp.asarray(near + place))
    assert bool(quenched.converged.all())
    assert float(quenched.force.max()) < 1e-3
    np.testing.assert_allclose(quenched.energy, minimum.energy, atol=2e-5)
    drift = quenched.positions.mean(axis=1) - minimum.positions.mean(axis=1)
    np.testing.assert_allclose(drift, np.tile(place, (16, 1)), atol=2e-3)
    alone = hopgym.quench(lj7, quenched.positions[0])
    assert bool(alone.converged)


def test_the_place_of_a_structure_does_not_matter(lj7, starts):
    """Moves that are undone exactly change nothing."""
    positions = np.round(starts * 1024) / 1024
    place = np.array([64.0, -8.0, 304.0], np.float32)
    quenched = hopgym.quench(lj7, jnp.asarray(positions))
    moved = hopgym.quench(lj7, jnp.asarray(positions + place))
    np.testing.assert_array_equal(moved.energy, quenched.energy)
    np.testing.assert_array_equal(moved.evaluations, quenched.evaluations)


def test_float64_converges_to_1e_6(starts):
    with jax.enable_x64(True):
        system = hopgym.get_system("LJ-7")
        quenched = hopgym.quench(system, jnp.asarray(starts, float))
        assert quenched.energy.dtype == jnp.float64
        assert float(quenched.force.max()) < 1e-6


def test_same_minimum_as_scipy(starts):
    """From near a minimum there is only one answer, whoever descends."""
    with jax.enable_x64(True):
        system = hopgym.get_system("LJ-7")
        bottom = hopgym.quench(system, jnp.asarray(starts[0], float)).positions
        near = jnp.asarray(displace(np.asarray(bottom), 0.02, 1))

        @jax.jit
        def flat(x):
            energy, gradient = system.energy_and_gradient(x.reshape(-1, 3))
            return energy, gradient.ravel()

        theirs = scipy.optimize.minimize(
            lambda x: tuple(map(np.asarray, flat(x))),
            np.asarray(near).ravel(),
            jac=True,
            method="L-BFGS-B",
            options={"gtol": 1e-9, "ftol": 1e-15},
        )
        ours = hopgym.quench(system, near)
        np.testing.assert_allclose(float(ours.energy), theirs.fun, atol=1e-10)
        assert int(ours.evaluations) <= 2 * theirs.nfev


def test_batch_equals_one_by_one(lj7, starts):
    """From near a minimum, where rounding cannot lead elsewhere."""
    bottoms = hopgym.quench(lj7, jnp.asarray(starts)).positions
    positions = jnp.asarray(displace(np.asarray(bottoms), 0.02, 2))
    together = hopgym.quench(lj7, positions)
    for i in range(3):
        alone = hopgym.quench(lj7, positions[i])
        np.testing.assert_allclose(alone.energy, together.energy[i], atol=2e-5)


def test_batches_of_any_size(lj7, starts):
    """None, and more than are in work at a time."""
    assert hopgym.quench(lj7, jnp.zeros((0, 7, 3))).energy.shape == (0,)
    positions = jnp.asarray(displace(np.tile(starts, (20, 1, 1)), 0.1, 3))
    together = hopgym.quench(lj7, positions)
    some = [hopgym.quench(lj7, positions[k : k + 16]) for k in range(192, 320, 16)]
    assert bool(together.converged.all())
    energies = np.concatenate([quenched.energy for quenched in some])
    same = np.abs(together.energy[192:] - energies) < 2e-5
    assert same.mean() > 0.9  # rounding may lead elsewhere


def test_evaluations_are_all_there_are(lj7, starts):
    """Stopped after n evaluations, it has spent n."""
    quenched = hopgym.quench(lj7, jnp.asarray(starts), steps=5)
    assert quenched.evaluations.tolist() == [5] * 16
    assert not bool(quenched.converged.any())


def test_quench_survives_overlap(lj7):
    overlapping = np.zeros((7, 3), np.float32)
    overlapping[1:] = displace(overlapping[1:], 1e-3, 0)
    quenched = hopgym.quench(lj7, jnp.asarray(overlapping))
    assert bool(quenched.converged)
    assert -16.51 < float(quenched.energy) < 0


def test_polish_is_the_papers(lj7, starts):
    """A thousand clipped gradient-descent steps at 1e-3, written out."""
    positions = jnp.asarray(starts[0])
    gradient = jax.jit(lambda x: lj7.energy_and_gradient(x)[1])
    expected = positions
    for _ in range(20):
        expected = expected - 1e-3 * np.clip(gradient(expected), -100, 100)
    polished = hopgym.polish(lj7, positions, steps=20)
    np.testing.assert_allclose(polished.positions, expected, atol=1e-5)
    assert int(hopgym.polish(lj7, positions).evaluations) == 1001


@pytest.mark.parametrize("shape", [(7,), (6, 3), (2, 6, 3), (1, 2, 7, 3)])
def test_wrong_shapes_are_named(lj7, shape):
    for relax in (hopgym.quench, hopgym.polish):
        with pytest.raises(ValueError, match="positions must have shape"):
            relax(lj7, jnp.zeros(shape))


def test_direction_is_that_of_the_bfgs_matrix():
    """The recursion on inner products against the formula for H, literally."""
    with jax.enable_x64(True):
        environment = hopgym.Environment(hopgym.get_system("LJ-4"))
        context = environment.context
        optimizer = LBFGS(memory=3, max_step=1e9, rise=1e9, force=0.0)
        size = 12
        curvature = np.diag(np.linspace(1, 30, size))
        positions = jax.random.normal(jax.random.key(0), (4, 3))
        state = optimizer.init(positions, key=jax.random.key(1), context=context)
        update = jax.jit(
            lambda x, state: optimizer.update(
                (curvature @ x.ravel()).reshape(4, 3),
                state,
                x,
                value=0.5 * x.ravel() @ curvature @ x.ravel(),
                context=context,
            )
        )
        pairs = []
        previous = None
        for _ in range(6):
            x = np.asarray(positions).ravel()
            g = curvature @ x
            if previous is not None:
                pairs = [*pairs, (x - previous[0], g - previous[1])][-3:]
            previous = (x, g)
            if pairs:
                s, y = pairs[-1]
                inverse = np.eye(size) * (s @ y) / (y @ y)
                for s, y in pairs:
                    left = np.eye(size) - np.outer(s, y) / (s @ y)
                    inverse = left @ inverse @ left.T + np.outer(s, s) / (s @ y)
            else:
                inverse = 0.01 * np.eye(size)
            displacement, state = update(positions, state)
            np.testing.assert_allclose(
                np.asarray(displacement).ravel(), -inverse @ g, rtol=1e-9, atol=1e-12
            )
            positions = positions + displacement


def test_a_step_uphill_is_shortened_tenfold(lj7, starts):
    """Where the energy rises, it goes back and tries a tenth."""
    context = hopgym.Environment(lj7).context
    optimizer = LBFGS()
    x = jnp.asarray(starts[0])
    state = optimizer.init(x, key=jax.random.key(0), context=context)
    gradient = jnp.ones((7, 3))
    update = jax.jit(
        lambda state, x, value: optimizer.update(
            gradient, state, x, value=value, context=context
        )
    )
    first, state = update(state, x, 0.0)
    back, state = update(state, x + first, 1.0)
    np.testing.assert_allclose(back, -0.9 * first, rtol=1e-4, atol=1e-6)
    assert int(state.shortened) == 1
