"""Distinct local minima of a search."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from hopgym.connectivity import is_connected
from hopgym.minima.fingerprint import compute_fingerprints
from hopgym.relax import Quenched

ROUNDING_ERROR = 16 * float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Tolerances:
    """When two structures are equal.

    **Attributes:**

    - `energy`: largest difference of energies, in units of energy, to which the
      rounding error of float32 is added.
    - `fingerprint`: the elements of their fingerprints differ by less than this.
    """

    energy: float = 1e-3
    fingerprint: float = 0.02


TIGHT = Tolerances()


@dataclass(frozen=True)
class Minimum:
    """A local minimum.

    **Attributes:**

    - `energy`, `positions`, `fingerprint`: of the first structure found.
    - `starts`: indices of the starts that visited it.
    - `found`: number of search evaluations, summed over all starts, when it was first
      found.
    """

    energy: float
    positions: Float[np.ndarray, "atoms 3"]
    fingerprint: Float[np.ndarray, " atoms"]
    starts: set[int]
    found: int


class Pool:
    """Distinct connected minima in order of increasing energy.

    Mirror images count as the same minimum.

    **Arguments:**

    - `system`: of the structures, a [`hopgym.context.SystemInfo`][].
    - `tolerances`: when structures are equal.
    - `dtype`: of positions in checkpoints.
    """

    def __init__(
        self, system: Any, tolerances: Tolerances = TIGHT, dtype: Any = np.float32
    ):
        self.system = system
        self._dtype = dtype
        self.minima: list[Minimum] = []
        self._tolerance = tolerances.energy * float(system.energy_unit)
        self._fingerprint_tolerance = tolerances.fingerprint

    def add(self, quenched: Quenched, starts: Sequence[set[int]], found: int) -> None:
        """Add the converged, connected ones of a batch of quenched structures.

        **Arguments:**

        - `quenched`: the structures.
        - `starts`: indices of the starts that visited each structure.
        - `found`: number of search evaluations so far, summed over all starts.
        """
        positions = np.asarray(quenched.positions)
        fingerprints = self._compute_fingerprints(positions)
        energies = np.asarray(quenched.energy, float)
        minima = np.asarray(quenched.converged) & np.asarray(quenched.connected)
        for k in np.flatnonzero(minima).tolist():
            new = Minimum(
                energy=float(energies[k]),
                positions=positions[k],
                fingerprint=fingerprints[k],
                starts=set(starts[k]),
                found=found,
            )
            known = self._find_equal(new)
            if known is None:
                bisect.insort(self.minima, new, key=_get_energy)
            else:
                known.starts.update(new.starts)

    def _find_equal(self, new: Minimum) -> Minimum | None:
        margin = self._tolerance + ROUNDING_ERROR * abs(new.energy)
        first = bisect.bisect_left(self.minima, new.energy - margin, key=_get_energy)
        last = bisect.bisect_right(self.minima, new.energy + margin, key=_get_energy)
        for known in self.minima[first:last]:
            difference = np.abs(known.fingerprint - new.fingerprint)
            if np.max(difference) < self._fingerprint_tolerance:
                return known
        return None

    def _compute_fingerprints(self, positions: np.ndarray) -> np.ndarray:
        return compute_fingerprints(
            positions,
            np.asarray(self.system.species),
            float(self.system.length),
            self.system.box,
        )

    def discard_fragmented(self) -> int:
        """Remove structures in several pieces, and return their number."""
        positions = jnp.asarray([m.positions for m in self.minima], float)
        positions = positions.reshape(-1, self.system.atoms, 3)
        connected = jax.vmap(lambda x: is_connected(self.system, x))(positions)
        before = self.minima
        self.minima = [m for m, one in zip(before, connected, strict=True) if one]
        return len(before) - len(self.minima)

    def find_lowest(self, starts: int) -> Float[np.ndarray, " starts"]:
        """Lowest energy of the minima that each start has visited, or infinity."""
        lowest = np.full(starts, np.inf)
        for minimum in reversed(self.minima):
            lowest[list(minimum.starts)] = minimum.energy
        return lowest

    def arrays(self) -> dict[str, Any]:
        """The minima as arrays, for a checkpoint."""
        pairs = [(k, start) for k, m in enumerate(self.minima) for start in m.starts]
        return {
            "energies": np.array([m.energy for m in self.minima], float),
            "positions": np.array(
                [m.positions for m in self.minima], self._dtype
            ).reshape(-1, self.system.atoms, 3),
            "found": np.array([m.found for m in self.minima], np.int64),
            "starts": np.array(pairs, np.int64).reshape(-1, 2),
        }

    def blank(self, count: int, pairs: int) -> dict[str, Any]:
        """Zeros with the shapes and dtypes of `arrays`, to restore a checkpoint.

        **Arguments:**

        - `count`: number of minima.
        - `pairs`: number of pairs of a minimum and a start that visited it.
        """
        return {
            "energies": np.zeros(count),
            "positions": np.zeros((count, self.system.atoms, 3), self._dtype),
            "found": np.zeros(count, np.int64),
            "starts": np.zeros((pairs, 2), np.int64),
        }

    def restore(self, arrays: dict[str, Any]) -> None:
        """Replace the minima by those of `arrays`."""
        positions = arrays["positions"]
        self.minima = [
            Minimum(float(energy), points, fingerprint, set(), int(found))
            for energy, points, fingerprint, found in zip(
                arrays["energies"],
                positions,
                self._compute_fingerprints(positions),
                arrays["found"],
                strict=True,
            )
        ]
        for k, start in arrays["starts"].tolist():
            self.minima[k].starts.add(start)


def _get_energy(minimum: Minimum) -> float:
    return minimum.energy
