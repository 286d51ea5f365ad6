"""Translation groups of periodic boxes: the box consists of equal parts."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

SHORTEST = 1.5  # edge of a part in units of length: less would be near its own images


class TranslationGroup(NamedTuple):
    """A division of a rectangular box into equal parts.

    **Attributes:**

    - `parts`: number of parts along each edge.
    - `source`: for each atom, the one in the first part of which it is an image.
    - `shift`: its displacement from that atom, in fractions of the edges.
    """

    parts: tuple[int, ...]
    source: Int[np.ndarray, " atoms"]
    shift: Float[np.ndarray, "atoms 3"]

    @property
    def order(self) -> int:
        """Number of parts."""
        return math.prod(self.parts)


def list_translation_groups(
    box: Float[np.ndarray, "3"], length: float, species: Int[np.ndarray, " atoms"]
) -> list[TranslationGroup]:
    """List the divisions of a box that its atoms allow, but for the undivided box.

    The number of atoms of every species must be a multiple of the number of parts, and
    the parts must be longer than 1.5 lengths.

    **Arguments:**

    - `box`, `length`: edges of the box and unit of length.
    - `species`: of each atom.
    """
    numbers = np.unique(species, return_counts=True)[1]
    common = math.gcd(*numbers.tolist())
    most = [max(1, int(edge / (SHORTEST * length))) for edge in box]
    groups = []
    for parts in itertools.product(*(range(1, n + 1) for n in most)):
        order = math.prod(parts)
        if order > 1 and common % order == 0:
            groups.append(_divide(parts, species))
    return groups


def _divide(
    parts: tuple[int, ...], species: Int[np.ndarray, " atoms"]
) -> TranslationGroup:
    cells = np.array(list(itertools.product(*(range(n) for n in parts))))
    source = np.empty(len(species), int)
    shift = np.empty((len(species), 3))
    for kind in np.unique(species):
        atoms = np.flatnonzero(species == kind)
        first = len(atoms) // len(cells)
        source[atoms] = np.tile(atoms[:first], len(cells))
        shift[atoms] = np.repeat(cells / np.array(parts), first, axis=0)
    return TranslationGroup(parts, source, shift)
