"""Ideal structures: numbers of atoms, distances, symmetry."""

import numpy as np
import pytest

from hopgym import structures


def neighbours(points, within):
    points = np.asarray(points)
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    return (distances < within).sum(1) - 1, distances


@pytest.mark.parametrize(
    ("points", "atoms"),
    [
        (structures.icosahedron(1), 13),
        (structures.icosahedron(2), 55),
        (structures.icosahedron(3), 147),
        (structures.truncated_octahedron(), 38),
        (structures.decahedron(), 75),
    ],
)
def test_clusters_are_centred_with_unit_bonds(points, atoms):
    assert points.shape == (atoms, 3)
    np.testing.assert_allclose(points.mean(0), 0, atol=1e-5)
    _, distances = neighbours(points, 1.2)
    np.testing.assert_allclose(distances[distances > 1e-6].min(), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("points", "bonds"),
    [
        (structures.icosahedron(1), 42),
        (structures.icosahedron(2), 234),
        (structures.truncated_octahedron(), 144),
        (structures.decahedron(), 319),
    ],
)
def test_numbers_of_nearest_neighbour_contacts(points, bonds):
    """Known numbers of contacts (Doye and Wales, J. Chem. Phys. 103, 4234, 1995)."""
    numbers, _ = neighbours(points, 1.2)
    assert numbers.sum() == 2 * bonds
    assert numbers.max() == 12


@pytest.mark.parametrize(
    ("points", "order"),
    [
        (structures.truncated_octahedron(), 4),
        (structures.decahedron(), 5),
    ],
)
def test_axis_of_rotation(points, order):
    points = np.asarray(points)
    c, s = np.cos(2 * np.pi / order), np.sin(2 * np.pi / order)
    turned = points @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    closest = np.linalg.norm(turned[:, None] - points, axis=-1).min(1)
    np.testing.assert_allclose(closest, 0, atol=1e-5)


@pytest.mark.parametrize("cells", [1, 2, 3])
def test_diamond_has_four_neighbours_in_its_box(cells):
    edge = 5.428
    points = np.asarray(structures.diamond(cells, edge))
    assert points.shape == (8 * cells**3, 3)
    if cells == 1:
        return  # Two neighbours of an atom may be images of the same one.
    vectors = points[:, None] - points
    vectors -= cells * edge * np.round(vectors / (cells * edge))
    distances = np.linalg.norm(vectors, axis=-1)
    bonds = (distances > 0.1) & (distances < 1.01 * 3**0.5 / 4 * edge)
    assert (bonds.sum(1) == 4).all()


@pytest.mark.parametrize(
    "make", [lambda: structures.icosahedron(0), lambda: structures.diamond(0, 1.0)]
)
def test_at_least_one_shell_or_cell(make):
    with pytest.raises(ValueError, match="at least one"):
        make()
