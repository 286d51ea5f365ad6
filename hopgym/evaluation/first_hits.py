"""When each start of a search first met the lowest known minimum."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import jax.numpy as jnp
import numpy as np

from hopgym.environment import State
from hopgym.relax import Quenched, quench
from hopgym.systems import System

INTERVAL = 250  # steps between checkpoints
MEMORY = 2**28  # bytes of structures that wait for their quench

Waiting = tuple[np.ndarray, np.ndarray, np.ndarray]


def list_checkpoints(steps: int) -> list[int]:
    """The steps of the checkpoints: multiples of `INTERVAL`, and the last one."""
    return [*range(INTERVAL, steps, INTERVAL), steps]


class FirstHits:
    """Quenches the best structures of a search at its checkpoints.

    There the best structure of a start is quenched where it has changed since the
    checkpoint before. A start hits at the first checkpoint whose quench ends in the
    reference minimum:

    - after as many evaluations as the search did until it met the minimum
      (`State.first_hit`), if this happened after the checkpoint before, which did not
      hit;
    - but no later than at the checkpoint and the evaluations of its quench.

    Structures are kept, and quenched after the search or when they exceed `MEMORY`.

    **Arguments:**

    - `system`: the system; if it has no reference, nothing is done.
    - `starts`: number of starts; as many structures are quenched at a time.

    **Attributes:**

    - `evaluations`: energy+gradient evaluations of the quenches up to the first hits,
      without those of the last structures.
    - `seconds`: time of quenches during the search.
    - `steps`: steps at the checkpoint of the first hit of each start, or -1.
    - `positions`: the quenched structures of the first hits.
    """

    def __init__(self, system: System, starts: int):
        self.evaluations = 0
        self.seconds = 0.0
        self.positions = np.zeros((starts, system.atoms, 3))
        self._system = system
        self._starts = starts
        self._energy = np.full(starts, np.inf)
        self._changed_at = np.zeros(starts, np.int64)  # evaluations, as all times
        self._hit_at = np.full(starts, -1, np.int64)  # checkpoint of the first hit
        self._hit_by = np.full(starts, -1, np.int64)  # and the end of its quench
        self._open = np.ones(starts, bool)
        self._waiting: list[Waiting] = []
        self._memory = 0

    @property
    def steps(self) -> np.ndarray:
        return np.where(self._hit_at > 0, self._hit_at - 1, -1)

    def record(self, steps: int, state: State) -> None:
        """Keep the structures that have changed since the checkpoint before.

        **Arguments:**

        - `steps`: number of completed steps; all are passed on, in order.
        - `state`: state of all starts after them.
        """
        if not self._system.has_reference:
            return
        energy = np.asarray(state.best_energy)
        # A start is never worse than its first structure, whose energy may not be
        # finite.
        changed = (energy < self._energy) | (self._changed_at == 0)
        self._energy = np.where(changed, energy, self._energy)
        self._changed_at[changed] = steps + 1
        rows = np.flatnonzero(changed & self._open)
        if len(rows):
            positions = np.asarray(state.best_positions)[rows]
            self._waiting.append((rows, np.full(len(rows), steps + 1), positions))
            self._memory += positions.nbytes
        self._open &= ~np.asarray(self._system.is_hit(state.best_energy))
        if self._memory > MEMORY:
            timer = time.perf_counter()
            self._quench(*_join(self._waiting))
            self._waiting, self._memory = [], 0
            self.seconds += time.perf_counter() - timer

    def finish(
        self, first_met: np.ndarray, last: Quenched, announce: Callable[[str], None]
    ) -> np.ndarray:
        """Quench all structures that wait.

        **Arguments:**

        - `first_met`: `State.first_hit` at the end of the search.
        - `last`: the quenched best structures at the end.
        - `announce`: called with a description of what is done.

        **Returns:** for each start, evaluations until its first hit, or -1.
        """
        if self._waiting:
            rows, at, positions = _join(self._waiting)
            # The last structure of each start has been quenched.
            left = at < self._changed_at[rows]
            self._quench(rows[left], at[left], positions[left], announce)
        hit = np.asarray(self._system.is_hit(last.energy)) & (self._hit_at < 0)
        spent = np.asarray(last.evaluations)
        self._hit_at = np.where(hit, self._changed_at, self._hit_at)
        self._hit_by = np.where(hit, self._changed_at + spent, self._hit_by)
        self.positions[hit] = np.asarray(last.positions)[hit]
        met = (self._hit_at > 0) & (first_met > _find_checkpoint_before(self._hit_at))
        return np.where(met, np.minimum(first_met, self._hit_by), self._hit_by)

    def _quench(
        self,
        rows: np.ndarray,
        at: np.ndarray,
        positions: np.ndarray,
        announce: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Quench structures of the starts `rows`, in the order of their times `at`."""
        for batch in self._choose_batches(rows, announce):
            # Batches of one size are one compiled program.
            padded = np.resize(batch, self._starts)
            quenched = quench(self._system, jnp.asarray(positions[padded]))
            hits = np.asarray(self._system.is_hit(quenched.energy))
            spent = np.asarray(quenched.evaluations)
            relaxed = np.asarray(quenched.positions)
            for row, when, hit, count, structure in zip(
                rows[batch], at[batch], hits, spent, relaxed, strict=False
            ):
                if self._hit_at[row] > 0:
                    continue
                self.evaluations += int(count)
                if hit:
                    self._hit_at[row], self._hit_by[row] = when, when + count
                    self.positions[row] = structure
                    self._open[row] = False

    def _choose_batches(
        self, rows: np.ndarray, announce: Callable[[str], None]
    ) -> Iterator[np.ndarray]:
        """Indices of the next structures, without starts that have hit."""
        left = np.arange(len(rows))
        while len(left := left[self._hit_at[rows[left]] < 0]):
            announce(f"quenching checkpoints, {len(left):,} structures left")
            yield left[: self._starts]
            left = left[self._starts :]


def _join(waiting: list[Waiting]) -> Waiting:
    rows, at, positions = zip(*waiting, strict=True)
    return np.concatenate(rows), np.concatenate(at), np.concatenate(positions)


def _find_checkpoint_before(at: np.ndarray) -> np.ndarray:
    """Evaluations at the checkpoint before `at`, or 0."""
    checkpoint = (at - 2) // INTERVAL * INTERVAL
    return np.where(checkpoint > 0, checkpoint + 1, 0)
