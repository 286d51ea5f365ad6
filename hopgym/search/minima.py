"""The distinct minima of a search."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from hopgym.relax import Quenched
from hopgym.search.fingerprint import fingerprints
from hopgym.systems import System

# Structures are the same if their fingerprints differ by less than this and their
# energies by less than this fraction of the energy unit and the rounding of float32.
FINGERPRINT_TOLERANCE = 0.02
ENERGY_TOLERANCE = 1e-3
ROUNDING = 16 * float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Minimum:
    """A local minimum.

    **Attributes:**

    - `energy`, `positions`, `fingerprint`: of the structure that was found first.
    - `starts`: numbers of the starts that passed it.
    - `found`: search evaluations of all starts together when it was found.
    """

    energy: float
    positions: Float[np.ndarray, "atoms 3"]
    fingerprint: Float[np.ndarray, " atoms"]
    starts: set[int]
    found: int


class Pool:
    """Distinct minima, the lowest first.

    Mirror images are the same minimum.

    **Arguments:**

    - `system`: what the atoms are.
    """

    def __init__(self, system: System):
        self.system = system
        self.minima: list[Minimum] = []
        self._tolerance = ENERGY_TOLERANCE * float(system.energy_unit)

    def add(self, quenched: Quenched, starts: Sequence[set[int]], found: int) -> None:
        """Add structures that are minima; those that did not converge are left out.

        **Arguments:**

        - `quenched`: a batch of structures.
        - `starts`: for each the starts that passed it.
        - `found`: search evaluations so far.
        """
        positions = np.asarray(quenched.positions)
        traits = self._fingerprints(positions)
        energies = np.asarray(quenched.energy, float)
        for k in np.flatnonzero(np.asarray(quenched.converged)).tolist():
            new = Minimum(
                float(energies[k]), positions[k], traits[k], set(starts[k]), found
            )
            known = self._same(new)
            if known is None:
                bisect.insort(self.minima, new, key=_energy)
            else:
                known.starts.update(new.starts)

    def _same(self, new: Minimum) -> Minimum | None:
        margin = self._tolerance + ROUNDING * abs(new.energy)
        first = bisect.bisect_left(self.minima, new.energy - margin, key=_energy)
        last = bisect.bisect_right(self.minima, new.energy + margin, key=_energy)
        for known in self.minima[first:last]:
            difference = np.abs(known.fingerprint - new.fingerprint)
            if np.max(difference) < FINGERPRINT_TOLERANCE:
                return known
        return None

    def _fingerprints(self, positions: np.ndarray) -> np.ndarray:
        box = self.system.box
        return fingerprints(
            positions,
            np.asarray(self.system.species),
            float(self.system.length),
            None if box is None else np.asarray(box, float),
        )

    def arrays(self) -> dict[str, Any]:
        """All of it as arrays, for a file."""
        pairs = [(k, start) for k, m in enumerate(self.minima) for start in m.starts]
        return {
            "energies": np.array([m.energy for m in self.minima], float),
            "positions": np.array(
                [m.positions for m in self.minima], np.float32
            ).reshape(-1, self.system.atoms, 3),
            "found": np.array([m.found for m in self.minima], np.int64),
            "starts": np.array(pairs, np.int64).reshape(-1, 2),
        }

    def blank(self, count: int, pairs: int) -> dict[str, Any]:
        """Arrays of the shapes and dtypes that `count` minima would give."""
        return {
            "energies": np.zeros(count),
            "positions": np.zeros((count, self.system.atoms, 3), np.float32),
            "found": np.zeros(count, np.int64),
            "starts": np.zeros((pairs, 2), np.int64),
        }

    def restore(self, arrays: dict[str, Any]) -> None:
        """Become what gave these arrays."""
        positions = arrays["positions"]
        self.minima = [
            Minimum(float(energy), place, trait, set(), int(found))
            for energy, place, trait, found in zip(
                arrays["energies"],
                positions,
                self._fingerprints(positions),
                arrays["found"],
                strict=True,
            )
        ]
        for k, start in arrays["starts"].tolist():
            self.minima[k].starts.add(start)


def _energy(minimum: Minimum) -> float:
    return minimum.energy
