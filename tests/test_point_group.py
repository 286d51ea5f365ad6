"""Point groups against those that brute force, group theory and textbooks give."""

import itertools

import jax
import numpy as np
import pytest

import hopgym
from hopgym.minima.point_group import (
    choose_group,
    find_operations,
    find_point_group,
    name_group,
)
from hopgym.minima.symmetry import find_symmetry
from hopgym.structures import icosahedron, truncated_octahedron

TOLERANCE = 0.035  # in bond lengths
# Subgroups of Ih: order, mirrors, whether there is an inversion.
SUBGROUPS = {
    (1, 0, False): "C1",
    (2, 1, False): "Cs",
    (2, 0, True): "Ci",
    (2, 0, False): "C2",
    (4, 2, False): "C2v",
    (4, 1, True): "C2h",
    (4, 0, False): "D2",
    (8, 3, True): "D2h",
    (3, 0, False): "C3",
    (6, 3, False): "C3v",
    (6, 0, True): "S6",
    (6, 0, False): "D3",
    (12, 3, True): "D3d",
    (5, 0, False): "C5",
    (10, 5, False): "C5v",
    (10, 0, True): "S10",
    (10, 0, False): "D5",
    (20, 5, True): "D5d",
    (12, 0, False): "T",
    (24, 3, True): "Th",
    (60, 0, False): "I",
    (120, 15, True): "Ih",
}


def name(points, species=None):
    species = np.zeros(len(points), int) if species is None else np.asarray(species)
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    return find_point_group(np.asarray(points, float) @ turn + 5, species, TOLERANCE)


def ring(atoms, height=0.0, turn=0.0):
    angles = 2 * np.pi * np.arange(atoms) / atoms + turn
    return np.stack([np.cos(angles), np.sin(angles), np.full(atoms, height)], axis=1)


def layers(atoms, turn, height=1.0):
    return np.concatenate([ring(atoms), ring(atoms, height, turn)])


def brute_force(points, species):
    """Every permutation and sign that fit within the tolerance."""
    points = points - points.mean(axis=0)
    orders = np.array(list(itertools.permutations(range(len(points)))))
    orders = orders[(species[orders] == species).all(axis=1)]
    u, _, v = np.linalg.svd(points.T @ points[orders])
    found = set()
    for sign in (1, -1):
        flip = np.ones((len(orders), 3))
        flip[:, 2] = sign * np.linalg.det(u @ v)
        moved = points @ ((u * flip[:, None]) @ v)
        apart = np.linalg.norm(moved - points[orders], axis=2).max(axis=1)
        found |= {(tuple(row), sign) for row in orders[apart < TOLERANCE].tolist()}
    return found


@pytest.mark.parametrize("order", [2, 3, 4, 5, 6])
def test_rings_prisms_and_what_is_between(order):
    plane = {2: "D*h"}.get(order, f"D{order}h")
    assert name(ring(order)) == plane
    assert name(layers(order, 0)) == f"D{order}h"
    assert name(layers(order, np.pi / order)) == f"D{order}d"
    assert name(layers(order, 0.4 * np.pi / order)) == f"D{order}"
    pyramid = np.concatenate([ring(order), [[0, 0, 1]]])
    assert name(pyramid) == f"C{order}v"
    # Arrows around each ring leave only the rotations.
    arrows = 1.4 * ring(order, 0.3, 0.2)
    propeller = np.concatenate([ring(order), arrows, [[0, 0, 2]]])
    assert name(propeller) == f"C{order}"
    flat = arrows * [1, 1, 0]
    assert name(np.concatenate([ring(order), flat])) == f"C{order}h"
    half = np.pi / order
    above = [ring(order, 1), 1.4 * ring(order, 1.3, 0.2)]
    below = [ring(order, -1, half), 1.4 * ring(order, -1.3, 0.2 + half)]
    assert name(np.concatenate(above + below)) == f"S{2 * order}"


@pytest.mark.parametrize("height", np.linspace(0.6, 1.6, 21))
def test_accidental_tops_are_no_cubes(height):
    """The moments of inertia of one of these antiprisms are equal."""
    assert name(layers(4, np.pi / 4, height)) == "D4d"


@pytest.mark.parametrize(
    ("points", "species", "expected"),
    [
        ([[0, 0, 0]], None, "Kh"),
        ([[0, 0, 0], [0, 0, 1]], None, "D*h"),
        ([[0, 0, 0], [0, 0, 1]], [0, 1], "C*v"),
        ([[0, 0, 0], [0, 0, 1], [0, 0, 2]], [0, 1, 0], "D*h"),
        ([[0, 0, 0], [0, 0, 1], [0, 0, 2]], [0, 0, 1], "C*v"),
        ([[0, 0, 0], [0, 0, 1], [0, 0, 2.2]], None, "C*v"),
        ([[0, 0, 0], [0, 0.02, 1], [0, 0, 2]], None, "D*h"),
        ([[0, 0, 0], [0, 0.2, 1], [0, 0, 2]], None, "C2v"),
        ([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], None, "Td"),
        ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 1, 2], "Cs"),
        (np.eye(3)[[0, 1, 2, 0, 1, 2]] * np.repeat([[1], [-1]], 3, 0), None, "Oh"),
        (np.random.default_rng(0).normal(size=(9, 3)), None, "C1"),
        ([[0, 0, 0], [np.nan, 0, 1]], None, ""),
    ],
)
def test_small_structures(points, species, expected):
    assert name(np.array(points, float), species) == expected


def test_chiral_and_centred_cubic_groups():
    place = np.array([1.0, 0.6, 0.25])
    cyclic = [np.roll(np.eye(3), k, axis=0) for k in range(3)]
    swaps = [np.eye(3)[list(p)] for p in itertools.permutations(range(3))]
    signs = [np.diag(s) for s in itertools.product((1, -1), repeat=3)]
    groups = {
        "T": [p @ s for p in cyclic for s in signs if np.linalg.det(s) > 0],
        "Th": [p @ s for p in cyclic for s in signs],
        "O": [p @ s for p in swaps for s in signs if np.linalg.det(p @ s) > 0],
        "Td": [p @ s for p in swaps for s in signs if np.linalg.det(s) > 0],
        "Oh": [p @ s for p in swaps for s in signs],
    }
    for expected, group in groups.items():
        assert name(np.array(group) @ place) == expected


def test_large_clusters():
    assert name(icosahedron(3)) == "Ih"
    assert name(truncated_octahedron()) == "Oh"


def test_decorated_icosahedra():
    """All two-coloured shells of 12 atoms, by the operations that keep the colours."""
    points = np.asarray(icosahedron(1), float)
    shell = points[np.linalg.norm(points, axis=1) > 0.5]
    operations = find_operations(shell, np.zeros(12, int), TOLERANCE)
    images = np.array([one.images for one in operations])
    colours = np.array(list(itertools.product((0, 1), repeat=12)))
    codes = colours @ 2 ** np.arange(12)
    lowest = np.min([codes[colours[:, one] @ 2 ** np.arange(12)] for one in images], 0)
    shells = colours[lowest == codes]
    assert len(shells) == 82  # of 12 vertices, mirror images being equal
    for species in shells:
        kept = [
            one
            for one, row in zip(operations, images, strict=True)
            if np.array_equal(species[row], species)
        ]
        mirrors = sum(one.sign < 0 and abs(one.trace - 1) < 0.1 for one in kept)
        centred = any(abs(one.trace + 3) < 0.1 for one in kept)
        expected = SUBGROUPS[len(kept), mirrors, centred]
        assert name(shell, species) == expected


def test_gold_at_an_apex_and_the_lower_ring():
    points = np.asarray(icosahedron(1), float)
    apex = points[np.linalg.norm(points, axis=1).argmax()]
    height = points @ apex / np.linalg.norm(apex)
    assert sorted(np.round(height, 2))[1:6] == pytest.approx([-0.43] * 5, abs=0.03)
    gold = (height > 0.9) | ((height < -0.2) & (height > -0.7))
    order = np.argsort(gold, kind="stable")
    system = hopgym.get_system("Gupta-Ag7Au6")
    assert find_symmetry(system, points[order] * float(system.length)) == "C5v"


@pytest.mark.parametrize("noise", [0.0, 0.008, 0.015, 0.03])
@pytest.mark.parametrize("turn", [0.0, 0.3, np.pi / 3])
def test_operations_are_all_that_there_are(noise, turn):
    """Also where deviations are about as large as the tolerance."""
    rng = np.random.default_rng(0)
    for species in (np.zeros(6, int), np.array([0, 0, 1, 0, 0, 1])):
        for _ in range(10):
            points = layers(3, turn) + noise * rng.normal(size=(6, 3))
            points = points - points.mean(axis=0)
            operations = find_operations(points, species, TOLERANCE)
            found = {(one.images, one.sign) for one in operations}
            assert found == brute_force(points, species)
            group = choose_group(operations)
            known = {(one.images, one.sign) for one in group}
            assert known <= found
            products = {
                (tuple(np.array(a.images)[list(b.images)].tolist()), a.sign * b.sign)
                for a in group
                for b in group
            }
            assert products == known
            assert name_group(group)


def test_the_largest_group_is_chosen():
    """Of D3h without a mirror, C3v or D3 or C3h is left, not a group of two."""
    operations = find_operations(layers(3, 0) - [0, 0, 0.5], np.zeros(6, int), 0.03)
    assert name_group(choose_group(operations)) == "D3h"
    for one in operations:
        if one.order > 1:
            others = [other for other in operations if other is not one]
            expected = {"C3v", "D3", "C3h"} if one.order in (2, 6) else {"C2v"}
            assert name_group(choose_group(others)) in expected


def test_a_relaxed_cluster_of_gold():
    """A minimum of Au13 whose moments of inertia are nearly equal."""
    system = hopgym.get_system("Gupta-Au13")
    starts = jax.vmap(system.sample)(jax.random.split(jax.random.key(0), 64))
    found = hopgym.quench(system, starts)
    places = np.flatnonzero(np.abs(np.asarray(found.energy) + 40.3909) < 1e-3)
    assert len(places)
    for place in places:
        assert find_symmetry(system, np.asarray(found.positions[place])) == "C2v"
