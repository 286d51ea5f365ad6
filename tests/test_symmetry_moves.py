"""What moves of clusters promise, whatever the random numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cluster_cases import (
    COMPLETED,
    GROUPS,
    KINDS,
    LENGTH,
    make_cluster,
    make_propose,
    make_requests,
)

from hopgym.optimizers.symmetry.cluster_move import MoveKind
from hopgym.optimizers.symmetry.random_numbers import draw
from hopgym.optimizers.symmetry.scores import get_squares, score_points
from hopgym.optimizers.symmetry.vacant_sites import find_sites
from hopgym.structures import icosahedron

ATOMS = 38


@pytest.fixture
def proposals():
    """Moves of 38 atoms by either backend: they are compared elsewhere."""
    with jax.enable_x64(True):
        requests = make_requests(ATOMS, seed=1)
        return requests, np.asarray(make_propose()(requests)) / LENGTH


def find_images(points, species, matrix):
    """Distance of the image of each point from the nearest one of its species."""
    apart = np.linalg.norm((points @ matrix.T)[:, None] - points, axis=2)
    return np.where(species[:, None] == species, apart, np.inf).min(axis=1)


def test_completed_clusters_are_symmetric(proposals):
    requests, points = proposals
    share = {}
    for lane in np.flatnonzero(np.isin(KINDS, COMPLETED)):
        group, frame = GROUPS[requests["group"][lane]], requests["frame"][lane]
        turned = points[lane] @ frame.T
        apart = [
            find_images(turned, requests["species"][lane], operation)
            for operation in group.operations
        ]
        share.setdefault(group.order, []).append(np.mean(np.array(apart) < 1e-8))
    # Atoms for which there is no orbit of the right size are few, and other atoms have
    # all of their images.
    assert np.mean(np.concatenate([*share.values()]) == 1) > 0.3
    assert min(np.mean(some) for some in share.values()) > 0.8
    assert np.mean(share[2]) > 0.97


def test_atoms_do_not_overlap(proposals):
    _, points = proposals
    made = np.isin(KINDS, (*COMPLETED, MoveKind.MOVE_WEAKEST))
    apart = np.linalg.norm(points[made][:, :, None] - points[made][:, None], axis=3)
    apart = apart + 9 * np.eye(ATOMS)
    assert apart.min() > 0.6 - 1e-9


def test_surface_search_lowers_the_score(proposals):
    requests, points = proposals
    before = requests["positions"] / LENGTH
    searched = KINDS == MoveKind.SEARCH_SURFACE

    @jax.vmap
    def score(points):
        return jnp.sum(score_points(points, points)) / 2

    with jax.enable_x64(True):
        gains = np.asarray(score(points) - score(before))[searched]
    moved = (np.abs(points - before) > 1e-9).any(axis=2).sum(axis=1)[searched]
    assert (gains[moved > 0] < -0.2).all() and (moved > 0).any()
    assert (gains[moved == 0] == 0).all()


def test_few_atoms_move(proposals):
    requests, points = proposals
    moved = np.abs(points - requests["positions"] / LENGTH).max(axis=2) > 1e-9
    weakest = KINDS == MoveKind.MOVE_WEAKEST
    assert (moved[weakest].sum(axis=1) <= requests["count"][weakest]).all()
    assert moved[weakest].any(axis=1).all()
    assert not moved[KINDS == MoveKind.NONE].any()
    shift = np.abs(points - requests["positions"] / LENGTH)[
        KINDS == MoveKind.SHAKE_FREELY
    ]
    assert 0.16 < shift.max() < 0.17


@jax.jit
def sites_of(points):
    return find_sites(points, jnp.ones(len(points), bool))


def test_vacant_sites():
    for seed in range(5):
        atoms = jnp.asarray(make_cluster(np.random.default_rng(seed), ATOMS))
        sites, count = sites_of(atoms)
        assert 20 < count < 80
        apart = np.sqrt(get_squares(sites[:count], atoms))
        # Sites of several triples are means.
        assert apart.min() > 0.75
        assert np.abs(np.sort(apart, axis=1)[:, :3] - 1).max() < 0.25
        between = np.asarray(get_squares(sites[:count], sites[:count]))
        assert (between + np.eye(count)).min() > 0.2**2


def test_sites_of_an_icosahedron():
    """One over each of the 20 faces: the anti-Mackay sites."""
    atoms = jnp.asarray(icosahedron(1))
    atoms = atoms / np.linalg.norm(atoms[1] - atoms[0])
    sites, count = sites_of(atoms)
    assert count == 20
    apart = np.sort(np.sqrt(get_squares(sites[:count], atoms)), axis=1)
    np.testing.assert_allclose(apart[:, :3], 1, atol=1e-5)
    assert apart[:, 3].min() > 1.2
    radii = np.linalg.norm(sites[:count] - atoms.mean(axis=0), axis=1)
    np.testing.assert_allclose(radii, radii[0], atol=1e-5)


def test_random_numbers_are_uniform():
    @jax.jit
    def draw_many(seed):
        index, rounds = jnp.arange(1000), jnp.arange(10)[:, None]
        return draw(seed, rounds, index, jnp.float32)

    drawn, other = (np.asarray(draw_many(np.array([3, n], np.uint32))) for n in (5, 6))
    assert len(np.unique(drawn)) > 9990
    assert 0 <= drawn.min() < 1e-3 and 0.999 < drawn.max() < 1
    counts = np.histogram(drawn, bins=20, range=(0, 1))[0]
    assert np.sum((counts - 500) ** 2 / 500) < 45  # chi-square of 19: 0.1 %
    for a, b in (
        (drawn, other),
        (drawn[1:], drawn[:-1]),
        (drawn[:, 1:], drawn[:, :-1]),
    ):
        assert abs(np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]) < 0.04
