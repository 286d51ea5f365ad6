"""Cells of any shape: nearest images against ASE, and features that use them."""

import itertools

import ase
import ase.geometry
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hopgym import Context
from hopgym.cell import Cell
from hopgym.chemistry.convert import get_box, get_cell
from hopgym.optimizers import MLPOpt, Redraw, SurfaceMove, load
from hopgym.optimizers.learned.radial import CUTOFF, ETAS, radial_functions

pytestmark = pytest.mark.optimised

BOUNDARIES = [p for p in itertools.product((True, False), repeat=3) if any(p)]
SKEWED = [[1.0, 0.1, 0], [2.6, 1.2, 0.3], [-1.9, 0.4, 1.1]]


def make_atoms(vectors, periodic, points=None):
    points = [[0.0, 0, 0], [1.0, 0, 0]] if points is None else points
    return ase.Atoms(["X"] * len(points), points, cell=vectors, pbc=periodic)


def make_cell(vectors, periodic: bool | tuple[bool, bool, bool] = True):
    cell = get_cell(make_atoms(vectors, periodic))
    assert isinstance(cell, Cell)
    return cell


def make_context(box, atoms, length=1.0, freedom=None):
    species = jnp.arange(atoms, dtype=jnp.int32) % 2
    return Context(species, box, jnp.asarray(length), jnp.asarray(1.0), freedom)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(BOUNDARIES))
def test_nearest_images_are_the_shortest_of_all(seed, periodic):
    """ASE's `find_mic`, and all images within several cells of the given shape."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(3, 3)) + np.eye(3) * rng.uniform(0, 2)
    scale = np.abs(vectors).max()
    if abs(np.linalg.det(vectors)) < 0.1 * scale**3:
        vectors += 3 * scale * np.eye(3)
    # In the plane of periodic vectors: ASE searches too few cells for tilted others.
    displacements = rng.uniform(-2, 2, (20, 3)) * np.asarray(periodic) @ vectors
    cell = make_cell(vectors, periodic)
    with jax.enable_x64(True):
        ours = np.asarray(cell.find_nearest_images(jnp.asarray(displacements)))
    _, expected = ase.geometry.find_mic(displacements, vectors, periodic)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), expected, rtol=1e-9)
    moved = np.linalg.solve(vectors.T, (ours - displacements).T).T
    np.testing.assert_allclose(moved, np.round(moved), atol=1e-8)
    assert np.abs(moved[:, ~np.asarray(periodic)]).max(initial=0) < 1e-8


def test_vectors_that_are_not_periodic_do_not_matter():
    """A slab whose third vector is tilted or missing is the same slab."""
    lateral = [[2.5, 0, 0], [1.25, 2.2, 0]]
    displacement = np.array([[1.1, 0.3, 9.0], [-3.0, 2.0, -7.0]])
    found = []
    for third in ([0.0, 0, 20], [11.0, 7.0, 20], [0.0, 0, 0]):
        cell = make_cell([*lateral, third], (True, True, False))
        with jax.enable_x64(True):
            found.append(cell.find_nearest_images(jnp.asarray(displacement)))
    np.testing.assert_allclose(found[0][:, 2], displacement[:, 2])
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], atol=1e-12)


def test_rectangular_boxes_are_edges():
    assert get_cell(make_atoms(None, False)) is None
    edges = get_cell(make_atoms([3.0, 4.0, 5.0], True))
    np.testing.assert_array_equal(edges, [3, 4, 5])
    tilted = [[3, 0, 0], [0, 4, 0], [1, 0, 5]]
    for vectors, periodic in ((tilted, True), ([3.0, 4.0, 5.0], (1, 1, 0))):
        atoms = make_atoms(vectors, periodic)
        assert isinstance(get_cell(atoms), Cell)
        with pytest.raises(ValueError, match=r"orthorhombic|all axes or none"):
            get_box(atoms)


@pytest.mark.parametrize(
    ("vectors", "periodic"),
    [
        (np.zeros((3, 3)), True),
        ([[3, 0, 0], [0, 3, 0], [0, 0, 0]], True),
        ([[3, 0, 0], [3, 0, 0], [0, 0, 3]], (1, 1, 0)),
        ([[3, 0, 0], [0, 3, 0], [3, 3, 0]], True),
        ([[np.nan, 0, 0], [0, 3, 0], [0, 0, 3]], True),
    ],
)
def test_cells_that_do_not_span_their_periodic_axes_are_refused(vectors, periodic):
    with pytest.raises(ValueError, match=r"set atoms\.cell or atoms\.pbc"):
        get_cell(make_atoms(vectors, periodic))


@pytest.mark.parametrize("periodic", [(True, True, True), (True, True, False)])
def test_radial_functions_in_a_skewed_cell(periodic):
    """The defining sums, with distances to the nearest of all images."""
    vectors = np.array(SKEWED) * 4
    points = np.random.default_rng(0).uniform(0, 1, (11, 3)) @ vectors
    length = 1.7
    atoms = make_atoms(vectors, periodic, points)
    around = [range(-9, 10) if axis else (0,) for axis in periodic]
    images = np.array(list(itertools.product(*around))) @ vectors
    apart = points[:, None, None] - points[None, :, None] + images
    d = np.linalg.norm(apart, axis=-1).min(axis=-1) / length
    gamma = np.where((d < CUTOFF) & (d > 0), (1 + np.cos(np.pi * d / CUTOFF)) / 2, 0)
    unlike = np.arange(11)[:, None] % 2 != np.arange(11) % 2
    with jax.enable_x64(True):
        context = make_context(get_cell(atoms), 11, length)
        ours = radial_functions(jnp.asarray(points) / length, context, unlike=True)
    for k, eta in enumerate(ETAS):
        terms = np.exp(-eta * d**2) * gamma
        np.testing.assert_allclose(ours[:, k], terms.sum(1), rtol=1e-10)
        expected = (terms * unlike).sum(1)
        np.testing.assert_allclose(ours[:, len(ETAS) + k], expected, rtol=1e-10)


@pytest.mark.parametrize("learned", ["learn2hop-lj13-esmc", "mlp"])
def test_learned_steps_in_a_cell_are_those_in_the_box(x64, learned):
    box = jnp.asarray([3.0, 3.5, 4.0])
    cell = Cell(jnp.diag(box), (True, True, True))
    rng = np.random.default_rng(1)
    positions, gradient = jnp.asarray(rng.uniform(-5, 5, (2, 9, 3)))
    model = load(learned) if learned != "mlp" else MLPOpt(jax.random.key(0))
    steps = []
    for shape in (box, cell):
        context = make_context(shape, 9)

        @jax.jit
        def take_first_step(positions, gradient, context=context):
            state = model.init(positions, key=jax.random.key(0), context=context)
            zero = jnp.asarray(0.0)
            return model.update(
                gradient, state, positions, value=zero, context=context
            )[0]

        steps.append(np.asarray(take_first_step(positions, gradient)))
    np.testing.assert_allclose(steps[1], steps[0], rtol=1e-6, atol=1e-9)


def test_redraw_fills_slabs_and_crystals(x64):
    vectors = np.array(SKEWED) * 4
    points = np.random.default_rng(0).uniform(0, 1, (400, 3)) @ vectors
    one = jnp.ones(())
    for periodic in ((True, True, False), (True, True, True)):
        cell = make_cell(vectors, periodic)
        context = make_context(cell, len(points))
        positions = jnp.asarray(points)
        drawn = Redraw().propose(jax.random.key(0), positions, one, context)
        fractions = np.asarray(cell.get_fractions(drawn - positions.mean(0)))
        volume = np.prod(np.ptp(fractions, axis=0)) * abs(
            np.linalg.det(np.asarray(cell.vectors))
        )
        expected = abs(np.linalg.det(vectors))
        if periodic[2] is False:
            expected = 2 * len(points) / 2**0.5
        assert 0.9 * expected < volume < 1.001 * expected
        with pytest.raises(ValueError, match="clusters in free space"):
            SurfaceMove().propose(jax.random.key(0), positions, one, context)
