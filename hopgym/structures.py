"""Ideal structures: starting points whose energies are known.

All are made of closed shells or layers, centred, with a nearest-neighbour distance of
one; multiply them by the length unit of a system. Clusters relax to minima of their
potential: the icosahedra with 13 and 55, the truncated octahedron with 38 and the
decahedron with 75 atoms are the lowest of Lennard-Jones clusters.
"""

from __future__ import annotations

import itertools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

GOLDEN = (1 + 5**0.5) / 2


def _finished(points) -> Float[Array, "atoms 3"]:
    """Points about their centre, divided by the distance of nearest neighbours."""
    points = np.asarray(points, float)
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    np.fill_diagonal(distances, np.inf)
    return jnp.asarray((points - points.mean(0)) / distances.min(), float)


def icosahedron(shells: int) -> Float[Array, "atoms 3"]:
    """Mackay icosahedron of `shells` closed shells: 13, 55, 147, ... atoms.

    Atom k of an edge or face of shell n lies at the barycentric combination of its
    vertices, n times those of the first shell. Bonds within a shell are 5 % longer
    than those between shells, which have length one.

    Mackay, Acta Cryst. 15, 916 (1962).

    **Raises:** `ValueError` if there are no shells.
    """
    if shells < 1:
        raise ValueError(f"an icosahedron has at least one shell, got {shells}")
    plane = [(0.0, a, b * GOLDEN) for a in (-1, 1) for b in (-1, 1)]
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
    # Atoms of edges and vertices belong to several faces.
    _, first = np.unique(np.round(points, 6), axis=0, return_index=True)
    return _finished([points[k] for k in sorted(first)])


def truncated_octahedron() -> Float[Array, "atoms 3"]:
    """The regular truncated octahedron of 38 atoms, cut from an fcc crystal.

    It is centred on an octahedral hole: of the octahedron with four atoms an edge
    (44 atoms) the six corners are missing.
    """
    points = [
        point
        for point in itertools.product(range(-2, 3), repeat=3)
        if sum(point) % 2 == 1 and sum(map(abs, point)) <= 3
    ]
    return _finished(points)


def decahedron() -> Float[Array, "atoms 3"]:
    """The Marks decahedron of 75 atoms.

    Five fcc tetrahedra share an axis of five atoms, along which the atoms form straight
    columns. Tetrahedra are 70.53 degrees wide at an edge; to close the ring each is
    stretched to 72, so that bonds across are up to 2 % longer than one.

    Marks, Phil. Mag. A 49, 81 (1984).
    """
    # Columns at a u + b v, with u and v along neighbouring twin planes; for each step
    # away from the axis a column has an atom less, half of one at each end.
    columns = [(1, 0), (1, 1), (2, 0), (2, 1), (1, 2)]
    places = [(np.zeros(2), 5)]
    for wedge in range(5):
        u, v = (
            np.sqrt(0.75) * np.array([np.cos(angle), np.sin(angle)])
            for angle in 2 * np.pi / 5 * np.array([wedge, wedge + 1])
        )
        places += [(a * u + b * v, 5 - a - b) for a, b in columns]
    return _finished(
        [
            (*place, level - (count - 1) / 2)
            for place, count in places
            for level in range(count)
        ]
    )


def diamond(cells: int, edge: float) -> Float[Array, "atoms 3"]:
    """Diamond: `cells` cubic cells on each side, 8 atoms in each.

    For a periodic box of edge `cells * edge`: neither centred nor scaled.

    **Arguments:**

    - `cells`: number of cells along each edge: 1, 2, 3 for 8, 64, 216 atoms.
    - `edge`: edge of a cell; nearest neighbours are sqrt(3)/4 of it apart.

    **Raises:** `ValueError` if there is no cell.
    """
    if cells < 1:
        raise ValueError(f"a crystal has at least one cell, got {cells}")
    corners = np.array([(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)]) / 2
    basis = np.concatenate([corners, corners + 0.25])
    origins = np.array(list(itertools.product(range(cells), repeat=3)))
    points = (origins[:, None] + basis).reshape(-1, 3)
    return jnp.asarray(points * edge, float)
