"""Point groups: the operations that leave a point in place.

All groups of order up to 24 with axes up to sixfold and the fivefold S10, and the full
cubic and icosahedral groups.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

FAMILIES = ("pentagonal", "trigonal", "polyhedral", "other")


class PointGroup(NamedTuple):
    """A point group.

    **Attributes:**

    - `name`: Schoenflies symbol.
    - `operations`: orthogonal matrices, the identity first.
    """

    name: str
    operations: Float[np.ndarray, "order 3 3"]

    @property
    def order(self) -> int:
        """Number of operations."""
        return len(self.operations)

    @property
    def is_polyhedral(self) -> bool:
        """Whether the group has several axes of order three or more."""
        return self.name[0] in "TOI"

    @property
    def is_pentagonal(self) -> bool:
        """Whether the group has one axis of order five."""
        return "5" in self.name or self.name == "S10"

    @property
    def is_trigonal(self) -> bool:
        """Whether the group has one axis of order three or six."""
        return not self.is_polyhedral and any(fold in self.name for fold in "36")

    @property
    def family(self) -> str:
        """One of `FAMILIES`."""
        kinds = self.is_pentagonal, self.is_trigonal, self.is_polyhedral, True
        return FAMILIES[kinds.index(True)]

    @property
    def is_improper(self) -> bool:
        """Whether the group has a reflection, an inversion or a rotoreflection."""
        return bool((np.linalg.det(self.operations) < 0).any())

    @property
    def has_inversion(self) -> bool:
        """Whether the group has the inversion."""
        traces = np.trace(self.operations, axis1=1, axis2=2)
        return bool(np.isclose(traces, -3, atol=1e-6).any())

    @property
    def has_mirror(self) -> bool:
        """Whether the group has a reflection at a plane."""
        is_improper = np.linalg.det(self.operations) < 0
        traces = np.trace(self.operations, axis1=1, axis2=2)
        return bool((is_improper & np.isclose(traces, 1, atol=1e-6)).any())


@functools.cache
def list_point_groups() -> tuple[PointGroup, ...]:
    """List the groups, the cyclic ones first and the icosahedral ones last."""
    z, x, diagonal = (0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    level, upright, inversion = _reflect(z), _reflect((0.0, 1.0, 0.0)), -np.eye(3)
    across = _rotate(x, 2)

    def turn(n):
        return _rotate(z, n)

    def rotoreflect(n):
        return level @ turn(n)

    tetrahedral = [turn(2), _rotate(diagonal, 3)]
    octahedral = [turn(4), _rotate(diagonal, 3)]
    icosahedral = [_rotate((0.0, 1.0, (1 + math.sqrt(5)) / 2), 5), _rotate(diagonal, 3)]
    generators: dict[str, Sequence[np.ndarray]] = {
        "Cs": [level],
        "Ci": [inversion],
        **{f"C{n}": [turn(n)] for n in (2, 3, 4, 5, 6)},
        **{f"C{n}v": [turn(n), upright] for n in (2, 3, 4, 5, 6)},
        **{f"C{n}h": [turn(n), level] for n in (2, 3, 4, 5, 6)},
        **{f"S{n}": [rotoreflect(n)] for n in (4, 6, 10)},
        **{f"D{n}": [turn(n), across] for n in (2, 3, 4, 5, 6)},
        **{f"D{n}h": [turn(n), across, level] for n in (2, 3, 4, 5, 6)},
        **{f"D{n}d": [rotoreflect(2 * n), across] for n in (2, 3, 5)},
        "T": tetrahedral,
        "Td": [*tetrahedral, rotoreflect(4)],
        "Th": [*tetrahedral, inversion],
        "O": octahedral,
        "Oh": [*octahedral, inversion],
        "I": icosahedral,
        "Ih": [*icosahedral, inversion],
    }
    return tuple(PointGroup(name, _close(some)) for name, some in generators.items())


def _rotate(axis: Sequence[float], fold: int) -> Float[np.ndarray, "3 3"]:
    """Rotation by a full turn divided by `fold`."""
    x, y, z = np.asarray(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = 2 * math.pi / fold
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


def _reflect(normal: Sequence[float]) -> Float[np.ndarray, "3 3"]:
    return np.eye(3) - 2 * np.outer(normal, normal)


def _close(generators: Sequence[np.ndarray]) -> Float[np.ndarray, "order 3 3"]:
    """All products of the generators."""
    found = [np.eye(3)]
    for operation in found:  # grows
        for generator in generators:
            product = generator @ operation
            distances = np.abs(np.array(found) - product).max(axis=(1, 2))
            if distances.min() > 1e-6:
                found.append(product)
    return np.stack(found)
