"""Point groups of clusters, from all operations that map a structure onto itself.

An operation is a permutation of the atoms, within their species, and the sign of a
determinant: the best orthogonal matrix of that sign, about the centroid, moves every
atom to within a tolerance of the atom that it replaces. Products of permutations are
exact, so whether operations form a group is no matter of tolerances. They need not if
the structure is nearly symmetric, with deviations about as large as the tolerance: then
the point group is the largest group found among them.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

UNKNOWN = ""
ATOM, LINEAR, LINEAR_CENTRED = "Kh", "C*v", "D*h"
CUBIC = {(12, 3): "T", (24, 4): "O", (60, 5): "I"}  # by order and highest rotation
MAX_FITS = 5  # of a matrix to a permutation and of a permutation to the matrix
WIDE = 0.5  # of the radius of the cluster: atoms as far out determine a matrix well

Points = Float[np.ndarray, "atoms 3"]
Indices = Int[np.ndarray, " atoms"]


@dataclass(frozen=True)
class Operation:
    """An operation of symmetry.

    **Attributes:**

    - `images`: index of the atom that each atom replaces.
    - `sign`: determinant of the matrix.
    - `trace`: trace of the matrix.
    - `deviation`: largest distance of an atom from the one that it replaces.
    """

    images: tuple[int, ...]
    sign: int
    trace: float
    deviation: float

    @property
    def order(self) -> int:
        """Smallest power that is the identity."""
        order, left = 1 if self.sign > 0 else 2, set(range(len(self.images)))
        while left:
            start = atom = left.pop()
            length = 1
            while (atom := self.images[atom]) != start:
                left.remove(atom)
                length += 1
            order = math.lcm(order, length)
        return order


def find_point_group(positions: Points, species: Indices, tolerance: float) -> str:
    """Schoenflies symbol of a cluster; empty if a position is not finite.

    `Kh` for a single atom, `C*v` and `D*h` for atoms on a line.

    **Arguments:**

    - `positions`, `species`: the atoms.
    - `tolerance`: largest distance of an atom from the one that it replaces.
    """
    points = np.asarray(positions, float)
    if not np.isfinite(points).all():
        return UNKNOWN
    points = points - points.mean(axis=0)
    if len(points) == 1:
        return ATOM
    axis = np.linalg.svd(points, full_matrices=False)[2][0]
    across = points - np.outer(points @ axis, axis)
    if np.linalg.norm(across, axis=1).max() < tolerance:
        images = _match(-points, points, species)
        apart = np.inf if images is None else _deviate(-points, points[images])
        return LINEAR_CENTRED if apart < tolerance else LINEAR
    operations = find_operations(points, species, tolerance)
    return name_group(choose_group(operations))


def find_operations(
    points: Points, species: Indices, tolerance: float
) -> list[Operation]:
    """Find all operations of atoms about the origin that are not on a line.

    The images of two atoms and a sign determine the matrix. All pairs of atoms with the
    same radii and distance are tried as images of one pair that has few of these.
    """
    found: dict[tuple[tuple[int, ...], int], Operation] = {}
    pair, images = _choose_pairs(points, species, tolerance)
    frame = _make_frame(*points[pair])
    for image, sign in itertools.product(images, (1, -1)):
        target = _make_frame(*points[image])
        target[2] *= sign
        operation = _fit(target.T @ frame, sign, points, species)
        if operation is not None and operation.deviation < tolerance:
            found[operation.images, sign] = operation
    return list(found.values())


def choose_group(operations: list[Operation]) -> list[Operation]:
    """The largest group among operations, as far as it can be built one by one.

    Groups grow from each operation that is in none yet, by the operation of the
    smallest deviation with which all products are known.
    """
    operations = sorted(operations, key=lambda one: one.deviation)
    table = _multiply_all(operations)
    largest = covered = np.zeros(len(operations), bool)
    for seed in range(len(operations)):
        if covered[seed]:
            continue
        group = np.zeros(len(operations), bool)
        for one in (seed, *range(len(operations))):
            if not group[one]:
                wider = group.copy()
                wider[one] = True
                wider = _close(wider, table)
                group = group if wider is None else wider
        covered = covered | group
        largest = max(largest, group, key=np.count_nonzero)
    return [operations[one] for one in np.flatnonzero(largest)]


def name_group(group: list[Operation]) -> str:
    """Schoenflies symbol of a point group, from the kinds of its operations."""
    rotations = [one.order for one in group if one.sign > 0]
    reflections = [one for one in group if one.sign < 0 and one.order == 2]
    mirrors = sum(one.trace > 0 for one in reflections)
    centred = mirrors < len(reflections)
    order, highest = len(rotations), max(rotations, default=1)
    proper = order == len(group)
    if (order, highest) in CUBIC:
        name = CUBIC[order, highest]
        suffix = "h" if centred else "d"
    elif order == 2 * highest:
        name = f"D{highest}"
        suffix = "h" if mirrors == highest + 1 else "d"
    elif order == highest == 1:
        return "C1" if proper else "Cs" if mirrors else "Ci"
    elif order == highest:
        name = f"C{highest}"
        if not (proper or mirrors):
            return f"S{2 * highest}"
        suffix = "v" if mirrors == highest else "h"
    else:
        return UNKNOWN
    return name if proper else name + suffix


def _choose_pairs(
    points: Points, species: Indices, tolerance: float
) -> tuple[list[int], Int[np.ndarray, "images 2"]]:
    """Two atoms in different directions, and the pairs of atoms that may replace them.

    Among the outer atoms, those with the smallest number of such pairs.
    """
    radii = np.linalg.norm(points, axis=1)
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    alike = (np.abs(radii[:, None] - radii) < tolerance) & (species[:, None] == species)
    outer = np.flatnonzero(radii >= WIDE * radii.max())
    first = min(outer, key=lambda atom: (alike[atom].sum(), -radii[atom]))
    width = np.linalg.norm(np.cross(points, points[first]), axis=1) / radii[first]
    pairs = {}
    for second in np.flatnonzero(width >= WIDE * width.max()).tolist():
        near = np.abs(distances - distances[first, second]) < 2 * tolerance
        pairs[second] = np.argwhere(near & alike[first][:, None] & alike[second])
    second = min(pairs, key=lambda atom: (len(pairs[atom]), -width[atom]))
    return [int(first), second], pairs[second]


def _make_frame(
    first: Float[np.ndarray, "3"], second: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "3 3"]:
    """Right-handed orthonormal rows: along one vector, then towards the other."""
    x = first / np.linalg.norm(first)
    y = second - (second @ x) * x
    y = y / max(np.linalg.norm(y), np.finfo(float).tiny)
    return np.stack([x, y, np.cross(x, y)])


def _fit(
    matrix: Float[np.ndarray, "3 3"], sign: int, points: Points, species: Indices
) -> Operation | None:
    """Fit permutation and matrix to each other, from a first matrix.

    `None` if two atoms replace the same one. Kabsch, Acta Cryst. A 32, 922 (1976).
    """
    images: Indices | None = None
    for _ in range(MAX_FITS):
        nearest = _match(points @ matrix.T, points, species)
        if nearest is None:
            return None
        if images is not None and np.array_equal(nearest, images):
            break
        images = nearest
        u, _, v = np.linalg.svd(points.T @ points[images])
        u[:, 2] *= sign * np.sign(np.linalg.det(u) * np.linalg.det(v))
        matrix = (u @ v).T
    assert images is not None, "MAX_FITS is positive"
    deviation = _deviate(points @ matrix.T, points[images])
    return Operation(tuple(images.tolist()), sign, float(np.trace(matrix)), deviation)


def _match(moved: Points, points: Points, species: Indices) -> Indices | None:
    """Index of the atom nearest to each moved one; `None` if that is no permutation."""
    squared = np.sum(moved**2, axis=1)[:, None] + np.sum(points**2, axis=1)
    squared = squared - 2 * moved @ points.T
    images = np.where(species[:, None] == species, squared, np.inf).argmin(axis=1)
    return images if len(np.unique(images)) == len(images) else None


def _deviate(moved: Points, targets: Points) -> float:
    return float(np.linalg.norm(moved - targets, axis=1).max())


def _multiply_all(operations: list[Operation]) -> Int[np.ndarray, "one two"]:
    """Index of the product of each two operations; -1 if it is not one of them."""
    images = np.array([one.images for one in operations])
    signs = np.array([one.sign for one in operations])
    index = {
        (row.tobytes(), sign): k
        for k, (row, sign) in enumerate(zip(images, signs, strict=True))
    }
    return np.array(
        [
            [
                index.get((row.tobytes(), sign), -1)
                for row, sign in zip(one[images], own * signs, strict=True)
            ]
            for one, own in zip(images, signs, strict=True)
        ]
    )


def _close(
    members: Bool[np.ndarray, " operations"], table: Int[np.ndarray, "one two"]
) -> Bool[np.ndarray, " operations"] | None:
    """All products of some operations; `None` if one of them is not known."""
    while True:
        products = table[np.ix_(members, members)]
        if np.any(products < 0):
            return None
        wider = members.copy()
        wider[products.ravel()] = True
        if np.array_equal(wider, members):
            return members
        members = wider
