"""Ideal structures of clusters and crystals.

Clusters are centred and have a nearest-neighbour distance of one: multiply them by the
length unit of a system. The icosahedra of 13 and 55 atoms, the truncated octahedron of
38 and the decahedron of 75 relax to the lowest minima of Lennard-Jones clusters.
"""

from __future__ import annotations

import itertools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

GOLDEN_RATIO = (1 + 5**0.5) / 2


def _normalise(points) -> Float[Array, "atoms 3"]:
    """Centre points and scale them to a nearest-neighbour distance of one."""
    points = np.asarray(points, float)
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    np.fill_diagonal(distances, np.inf)
    return jnp.asarray((points - points.mean(0)) / distances.min(), float)


def icosahedron(shells: int) -> Float[Array, "atoms 3"]:
    """Mackay icosahedron of `shells` closed shells: 13, 55, 147, ... atoms.

    The faces of shell n are triangular lattices with n bonds along an edge. Bonds
    within a shell are 5 % longer than those between shells, which have length one.

    Mackay, Acta Cryst. 15, 916 (1962).

    **Raises:** `ValueError` for fewer than one shell.
    """
    if shells < 1:
        raise ValueError(f"an icosahedron has at least one shell, got {shells}")
    plane = [(0.0, a, b * GOLDEN_RATIO) for a in (-1, 1) for b in (-1, 1)]
    vertices = np.array([np.roll(v, turn) for v in plane for turn in range(3)])
    distances = np.linalg.norm(vertices[:, None] - vertices, axis=-1)
    touching = np.isclose(distances, 2)
    faces = [
        face
        for face in itertools.combinations(range(12), 3)
        if all(touching[a, b] for a, b in itertools.combinations(face, 2))
    ]
    points = [np.zeros(3)]
    for shell in range(1, shells + 1):
        for face in faces:
            for i in range(shell + 1):
                for j in range(shell + 1 - i):
                    points.append(np.array([i, j, shell - i - j]) @ vertices[[*face]])
    # Atoms on edges and vertices belong to several faces.
    _, first = np.unique(np.round(points, 6), axis=0, return_index=True)
    return _normalise([points[k] for k in sorted(first)])


def truncated_octahedron() -> Float[Array, "atoms 3"]:
    """Regular truncated octahedron of 38 atoms, cut from an fcc crystal.

    It is the octahedron with four atoms along an edge (44 atoms) without its six
    vertices, centred on an octahedral hole.
    """
    points = [
        point
        for point in itertools.product(range(-2, 3), repeat=3)
        if sum(point) % 2 == 1 and sum(map(abs, point)) <= 3
    ]
    return _normalise(points)


def decahedron() -> Float[Array, "atoms 3"]:
    """Marks decahedron of 75 atoms.

    Five fcc tetrahedra share an axis of five atoms, parallel to which the atoms form
    straight columns. The dihedral angle of a tetrahedron is 70.53 degrees; each is
    stretched to 72 to close the ring, so that some bonds are up to 2 % longer than one.

    Marks, Phil. Mag. A 49, 81 (1984).
    """
    # Columns at a u + b v, with u and v along neighbouring twin planes. With each step
    # away from the axis a column has one atom fewer.
    steps = [(1, 0), (1, 1), (2, 0), (2, 1), (1, 2)]
    columns = [(np.zeros(2), 5)]
    for wedge in range(5):
        u, v = (
            np.sqrt(0.75) * np.array([np.cos(angle), np.sin(angle)])
            for angle in 2 * np.pi / 5 * np.array([wedge, wedge + 1])
        )
        columns += [(a * u + b * v, 5 - a - b) for a, b in steps]
    return _normalise(
        [
            (*point, level - (count - 1) / 2)
            for point, count in columns
            for level in range(count)
        ]
    )


def diamond(cells: int, edge: float) -> Float[Array, "atoms 3"]:
    """Diamond crystal of `cells` x `cells` x `cells` cubic cells with 8 atoms each.

    For a periodic box with edges `cells * edge`; neither centred nor scaled.

    **Arguments:**

    - `cells`: number of cells along each edge: 1, 2, 3 for 8, 64, 216 atoms.
    - `edge`: edge of a cell; the nearest-neighbour distance is sqrt(3)/4 of it.

    **Raises:** `ValueError` for fewer than one cell.
    """
    if cells < 1:
        raise ValueError(f"a crystal has at least one cell, got {cells}")
    corners = np.array([(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)]) / 2
    basis = np.concatenate([corners, corners + 0.25])
    origins = np.array(list(itertools.product(range(cells), repeat=3)))
    points = (origins[:, None] + basis).reshape(-1, 3)
    return jnp.asarray(points * edge, float)
