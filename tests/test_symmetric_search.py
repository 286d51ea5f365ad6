"""Basin hopping in symmetric subspaces: what it finds, and how its parts take turns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hopgym
from hopgym.context import Context
from hopgym.optimizers import BasinHopping
from hopgym.optimizers.symmetric_basin_hopping import (
    SymmetricBasinHopping,
    SymmetricState,
    bh_symmetric,
)
from hopgym.optimizers.symmetry.progress import Phase
from hopgym.optimizers.symmetry.rules import Rules
from hopgym.optimizers.symmetry.subspaces import BoxSubspaces, make_subspaces

pytestmark = pytest.mark.optimised


def search(steps, rules=None, name="LJ-13", starts=16):
    """Last state of environment and search. Whatever the rules, it is compiled once."""
    environment = hopgym.Environment(hopgym.get_system(name))
    optimizer = bh_symmetric(environment.system, rules=rules)
    rollout = hopgym.Rollout(environment, optimizer, jax.random.key(0), starts)
    rollout.advance(steps)
    state, opt_state = rollout.arrays()
    assert isinstance(opt_state, SymmetricState)
    return state, opt_state.progress


def test_every_search_finds_the_icosahedron():
    state, progress = search(1500)
    assert (state.first_hit > 0).all()
    assert state.evaluations.tolist() == [1501] * 16
    assert int(state.faults.sum()) == 0
    # Quenches that have ended, and the one that goes on.
    spent = np.asarray(progress.evaluations)
    assert (spent <= 1500).all() and (spent > 1300).all()


def test_the_walk_gets_its_share():
    rules = Rules(walk_share=0.4, walk_lag=50)
    _, progress = search(3000, rules)
    share = progress.walk.evaluations / progress.evaluations
    # One visit may be 50 evaluations late, or a quench too long.
    np.testing.assert_allclose(share, 0.4, atol=0.06)
    assert (progress.epochs > 5).all()
    assert (progress.walk.energy >= progress.walk.lowest).all()


def test_the_walk_goes_on_from_what_epochs_have_found():
    _, progress = search(1500, Rules(walk_share=0.3))
    walked = progress.walk.evaluations > 0
    assert walked.all()
    assert (progress.walk.lowest <= progress.lowest + 2e-3).mean() > 0.9


def test_epochs_are_longer_in_larger_subspaces():
    """Here every group has fewer orbits than 15: the power makes epochs shorter."""
    epochs = [
        np.mean(search(1500, Rules(patience=20, patience_power=power))[1].epochs)
        for power in (0.0, 1.0)
    ]
    assert epochs[0] < 0.8 * epochs[1]


def test_without_exploration_the_best_group_is_searched_again():
    again = []
    for exploration in (0.0, 1.0):
        rules = Rules(exploration=exploration, spread=1e-6, walk_share=0.0)
        _, progress = search(3000, rules, starts=200)
        best = np.argmin(progress.evidence.lowest, axis=1)
        again.append(np.mean(best == progress.epoch.group))
    # The other groups that were tried are drawn no more, and untried ones rarely.
    assert again[0] > 0.8 and again[1] < 0.4, again


def test_structures_of_a_box_repeat_its_parts():
    system = hopgym.get_system("SW-Si64")
    optimizer = bh_symmetric(system)
    assert isinstance(optimizer, SymmetricBasinHopping)
    subspaces = optimizer.subspaces
    assert isinstance(subspaces, BoxSubspaces)
    assert sorted(subspaces.orders.tolist()) == [2, 2, 2, 4, 4, 4, 8]
    environment = hopgym.Environment(system)
    rollout = hopgym.Rollout(environment, optimizer, jax.random.key(3), 8)
    inside = 0
    for _ in range(10):
        rollout.advance(20)
        state, opt_state = rollout.arrays()
        epoch, phase = opt_state.progress.epoch, opt_state.progress.phase
        for k in np.flatnonzero((phase == Phase.START) | (phase == Phase.HOP)):
            source = np.asarray(subspaces.source)[epoch.group[k]]
            shift = np.asarray(subspaces.shift)[epoch.group[k]] * np.asarray(system.box)
            apart = state.positions[k] - state.positions[k][source] - shift
            apart -= system.box * np.round(apart / system.box)
            np.testing.assert_allclose(apart, 0, atol=5e-2)
            inside += 1
    assert inside > 20


@pytest.mark.parametrize("name, groups", [("LJ-2", 3), ("LJ-3", 4), ("LJ-150", 37)])
def test_groups_hold_as_many_atoms_as_there_are(name, groups):
    """Of groups with more operations than atoms no orbit of general places fits."""
    subspaces = make_subspaces(hopgym.get_system(name))
    assert subspaces is not None
    assert len(subspaces.orders) == groups


@pytest.mark.parametrize("name", ["LJ-2", "LJ-3"])
def test_smallest_clusters(name):
    state, progress = search(300, name=name, starts=4)
    assert (state.first_hit > 0).all()
    assert (progress.hops > 3).all()


def test_without_subspaces_it_is_basin_hopping():
    """Diamond's cubic cell has parts that are too short, and it has no surface."""
    assert isinstance(bh_symmetric(hopgym.get_system("SW-Si8")), BasinHopping)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"walk_share": 1.5}, "walk_share must be between 0 and 1"),
        ({"loose": 0.0}, "loose must be positive"),
        ({"hops": (1.0, -1.0, 0.0)}, "hops must be finite and not negative"),
        ({"hops": (0.0, 0.0, 0.0)}, "hops needs 3 numbers, not all of them 0"),
        ({"free_hops": 1.0}, "free_hops needs 4 numbers"),
    ],
)
def test_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Rules(**arguments)


def test_a_structure_that_is_not_finite_is_left():
    system = hopgym.get_system("LJ-13")
    environment = hopgym.Environment(system)
    optimizer = bh_symmetric(system)
    context: Context = environment.context
    start = environment.reset(jax.random.key(0))
    state = optimizer.init(start.positions, key=jax.random.key(1), context=context)

    @jax.jit
    def update(value, positions, state):
        gradient = jnp.full_like(positions, value)
        return optimizer.update(
            gradient, state, positions, value=value, context=context
        )

    positions = start.positions
    for value in (-1.0, jnp.nan, jnp.inf, jnp.nan, -2.0):
        displacement, state = update(jnp.float32(value), positions, state)
        positions = positions + displacement
        assert bool(jnp.isfinite(positions).all())
