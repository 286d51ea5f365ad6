"""What counts as a minimum: converged, connected, and without overlapping atoms."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernel_cases import starts

import hopgym
from hopgym.connectivity import are_connected, has_overlap, is_connected
from hopgym.optimizers import LBFGS, FixedLength, TwoPhase, adam
from hopgym.potentials import HasCutoff
from hopgym.structures import diamond, icosahedron

pytestmark = pytest.mark.optimised

SYSTEMS = ["LJ-7", "Morse14-7", "Gupta-Ag3Au4", "SW-Si8"]


def has_one_component(points, cutoff, box=None):
    """By merging the labels of all close pairs, one pair after another."""
    labels = list(range(len(points)))
    for i, j in itertools.combinations(range(len(points)), 2):
        vector = points[i] - points[j]
        if box is not None:
            vector = (vector + box / 2) % box - box / 2
        if np.linalg.norm(vector) <= cutoff:
            labels = [labels[i] if label == labels[j] else label for label in labels]
    return len(set(labels)) == 1


@pytest.mark.parametrize(
    ("box", "cutoff"), [(None, 2.8), ((4.0, 5.0, 6.0), 2.0)], ids=["free", "box"]
)
def test_connected_as_by_merging_labels(box, cutoff):
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 5, (100, 8, 3)).astype(np.float32)
    box = None if box is None else np.asarray(box)
    expected = [has_one_component(one, cutoff, box) for one in points]
    edges = None if box is None else jnp.asarray(box)
    found = jax.jit(jax.vmap(lambda x: are_connected(x, cutoff, edges)))(points)
    assert 10 < np.sum(expected) < 90
    np.testing.assert_array_equal(found, expected)


def test_chains_are_connected_in_any_order():
    order = np.random.default_rng(0).permutation(30)
    chain = jnp.zeros((30, 3)).at[:, 1].set(jnp.asarray(order, float))
    connected = jax.jit(are_connected)
    assert bool(connected(chain, 1.01))
    assert not bool(connected(chain, 0.99))
    assert not bool(connected(chain.at[3, 0].set(jnp.nan), 1.01))


@pytest.mark.parametrize(
    ("name", "distance", "expected"),
    [
        ("LJ-2", 1.59, True),
        ("LJ-2", 1.61, False),
        ("Gupta-Ag1Au1", 1.59 * 2.885, True),
        ("Gupta-Ag1Au1", 1.61 * 2.885, False),
    ],
)
def test_atoms_hold_together_up_to_1_6_lengths(name, distance, expected):
    pair = jnp.array([[0.0, 0, 0], [distance, 0, 0]])
    assert bool(is_connected(hopgym.get_system(name), pair)) is expected


def test_crystals_are_connected_through_their_faces():
    """Up to the cutoff of the potential."""
    system = hopgym.get_system("SW-Si8")
    crystal = diamond(1, 5.428)
    assert bool(is_connected(system, crystal))
    assert bool(is_connected(system, crystal + 2.0))
    assert isinstance(system.potential, HasCutoff)
    cutoff = float(system.potential.cutoff)
    gas = hopgym.System(
        name="Si2",
        potential=system.potential,
        species=[0, 0],
        box=[20.0, 20.0, 20.0],
        start=system.start,
        energy_scale=1.0,
    )
    for distance, expected in (
        (cutoff - 0.01, True),
        (20 - cutoff + 0.01, True),
        (cutoff + 0.01, False),
    ):
        pair = jnp.array([[0.0, 0, 0], [distance, 0, 0]])
        assert bool(is_connected(gas, pair)) is expected


def test_a_quench_says_whether_the_structure_is_in_one_piece():
    apart = jnp.array([[0.0, 0, 0], [5.0, 0, 0]])
    together = jnp.array([[0.0, 0, 0], [1.3, 0, 0]])
    system = hopgym.get_system("LJ-2")
    quenched = hopgym.quench(system, jnp.stack([apart, together]))
    assert quenched.converged.tolist() == [True, True]
    assert quenched.connected.tolist() == [False, True]
    assert not bool(hopgym.quench(system, apart).connected)
    polished = hopgym.polish(system, jnp.stack([apart, together]), steps=5)
    assert polished.connected.tolist() == [False, True]


@pytest.fixture(scope="module", params=SYSTEMS)
def system(request):
    return hopgym.get_system(request.param)


def test_atoms_on_one_point_never_converge(system):
    (start,) = starts(system, 1)
    overlapping = np.stack([start] * 4)
    overlapping[1, 1] = start[0]
    overlapping[2, 1] = start[0] + 1e-12
    overlapping[3] = start[0]
    quenched = hopgym.quench(system, jnp.asarray(overlapping))
    assert quenched.converged.tolist() == [True, False, False, False]
    overlap = jax.jit(jax.vmap(lambda x: has_overlap(system, x)))(quenched.positions)
    assert overlap.tolist() == [False, True, True, True]
    assert np.isfinite(quenched.energy).all()


def test_the_core_is_that_of_the_potential(system):
    core = float(system.potential.core_radius)
    assert 0.05 < core / float(system.length) < 0.11
    spread = 1.2 * np.arange(system.atoms)[:, None] * np.array([[0, 0, 1.0]])
    for distance, expected in ((0.99 * core, True), (1.01 * core, False)):
        points = spread.copy()
        points[1] = points[0] + [distance, 0, 0]
        assert bool(has_overlap(system, jnp.asarray(points, float))) is expected


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_by_name(value):
    system = hopgym.get_system("LJ-13")
    good = np.array(icosahedron(1))
    bad = good.copy()
    bad[3, 1] = value
    for relax in (hopgym.quench, hopgym.polish):
        with pytest.raises(ValueError, match=r"LJ-13: .* finite .* atom 3 is at"):
            relax(system, jnp.asarray(bad))
        with pytest.raises(ValueError, match="atom 3 of structure 1 is at"):
            relax(system, jnp.asarray([good, bad]))


def test_what_is_not_finite_does_not_converge_when_compiled():
    system = hopgym.get_system("LJ-13")
    good = np.array(icosahedron(1))
    starts = np.stack([good, good, good])
    starts[1, 3, 1] = np.nan
    starts[2, 5] = np.inf
    quenched = jax.jit(lambda x: hopgym.quench(system, x))(starts)
    assert quenched.converged.tolist() == [True, False, False]


def test_forces_must_be_below_the_tolerance_of_the_optimizer():
    system = hopgym.get_system("LJ-7")
    start = system.sample(jax.random.key(0))
    rough, fine = LBFGS(force=0.5), LBFGS()
    quenched = hopgym.quench(system, start, optimizer=rough)
    assert bool(quenched.converged)
    assert 1e-3 < float(quenched.force) < 0.5
    near = hopgym.quench(system, start).positions
    for optimizer, expected in (
        (TwoPhase(rough), True),
        (FixedLength(adam(1e-3), 3), False),
        (FixedLength(fine, 60), True),
        # Ends where the energy no longer changes, above an impossible tolerance.
        (LBFGS(force=1e-9), False),
    ):
        found = hopgym.quench(system, near + 0.01, optimizer=optimizer)
        assert bool(found.converged) is expected, optimizer
