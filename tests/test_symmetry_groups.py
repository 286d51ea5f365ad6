"""Point groups and translation groups."""

import itertools

import numpy as np
import pytest

from hopgym.minima.point_group import find_point_group
from hopgym.optimizers.symmetry.point_groups import list_point_groups
from hopgym.optimizers.symmetry.translation_groups import list_translation_groups

GROUPS = {group.name: group for group in list_point_groups()}
CUBIC = {"T": 12, "Td": 24, "Th": 24, "O": 24, "Oh": 48, "I": 60, "Ih": 120}


def expect_order(name):
    """Number of operations, from the symbol."""
    if name in CUBIC:
        return CUBIC[name]
    if name in ("Cs", "Ci"):
        return 2
    fold = int("".join(c for c in name if c.isdigit()))
    return fold * (2 if name[0] == "D" else 1) * (2 if name[-1] in "vhd" else 1)


def test_list():
    orders = [group.order for group in GROUPS.values()]
    assert sum(order <= 24 for order in orders) == 37
    assert [name for name, group in GROUPS.items() if group.order > 24] == [
        *("Oh", "I", "Ih")
    ]


@pytest.mark.parametrize("name", GROUPS)
def test_groups(name):
    group = GROUPS[name]
    assert group.order == len(group.operations) == expect_order(name)
    np.testing.assert_array_equal(group.operations[0], np.eye(3))
    matrices = group.operations
    identities = matrices @ np.swapaxes(matrices, 1, 2)
    identity = np.broadcast_to(np.eye(3), matrices.shape)
    np.testing.assert_allclose(identities, identity, atol=1e-12)
    # Every product is exactly one of the operations.
    products = np.einsum("aij,bjk->abik", matrices, matrices)
    # The trace of A^T B is 3 if A = B, for orthogonal matrices.
    traces = np.sort(products.reshape(-1, 9) @ matrices.reshape(-1, 9).T, axis=1)
    np.testing.assert_allclose(traces[:, -1], 3, atol=1e-9)
    assert traces[:, -2].max() < 2.7
    assert group.is_improper == (np.linalg.det(matrices) < 0).any()
    assert group.has_inversion == any(np.allclose(one, -np.eye(3)) for one in matrices)
    spectra = [np.sort(np.linalg.eigvals(one).real) for one in matrices]
    assert group.has_mirror == any(
        np.linalg.det(one) < 0 and np.allclose(values, [-1, 1, 1], atol=1e-6)
        for one, values in zip(matrices, spectra, strict=True)
    )


@pytest.mark.parametrize("name", GROUPS)
def test_names(name):
    points = np.array([[0.31, 0.83, 1.27], [1.71, 0.52, 0.23], [-0.6, 1.9, 0.4]])
    # One orbit may have more symmetry than its group, but for the largest groups.
    points = points[: 1 if GROUPS[name].order > 48 else 3]
    orbits = np.einsum("aij,nj->nai", GROUPS[name].operations, points).reshape(-1, 3)
    species = np.repeat(np.arange(len(points)), GROUPS[name].order)
    assert find_point_group(orbits, species, 1e-3) == name


def test_families():
    def names(family):
        return {name for name, group in GROUPS.items() if getattr(group, family)}

    assert names("is_polyhedral") == set(CUBIC)
    assert names("is_pentagonal") == {"C5", "C5v", "C5h", "S10", "D5", "D5h", "D5d"}
    assert names("is_trigonal") == {
        *("C3", "C3v", "C3h", "S6", "D3", "D3h", "D3d"),
        *("C6", "C6v", "C6h", "D6", "D6h"),
    }


@pytest.mark.parametrize(
    "box, numbers, expected",
    [
        ((3.0, 3.0, 3.0), (8,), 7),
        ((3.0, 3.0, 3.0), (4,), 6),
        ((3.0, 3.0, 3.0), (6, 9), 0),
        ((1.5, 4.6, 6.1), (12,), 9),
        ((1.5, 4.6, 6.1), (12, 6), 6),
        ((1.4, 1.4, 1.4), (8,), 0),
    ],
)
def test_divisions(box, numbers, expected):
    length = 2.0
    box = length * np.array(box) * (1 + 1e-12)
    species = np.random.default_rng(0).permutation(
        np.repeat(np.arange(len(numbers)), numbers)
    )
    groups = list_translation_groups(box, length, species)
    assert len(groups) == expected == len({group.parts for group in groups})
    for group in groups:
        assert group.order == np.prod(group.parts) > 1
        assert (box / group.parts >= 1.5 * length).all()
        np.testing.assert_array_equal(species[group.source], species)
        points = np.random.default_rng(1).uniform(size=(len(species), 3)) * box
        points = points[group.source] + group.shift * box
        # Each part has the same atoms: every translation permutes them.
        for step in itertools.product(*(range(n) for n in group.parts)):
            moved = points + np.array(step) / group.parts * box
            apart = (moved[:, None] - points) / box
            apart = np.abs(apart - np.round(apart)).max(axis=2) < 1e-9
            assert (apart.sum(axis=1) == 1).all()
            np.testing.assert_array_equal(species[apart.argmax(axis=1)], species)
