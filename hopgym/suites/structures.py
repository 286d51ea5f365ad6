"""The structures of an entry: what each start had found, and when.

A file for each system, `structures/SYSTEM.npz`, with a row for each structure:

- `start`: number of its start, in ascending order, with ascending steps;
- `step`: the checkpoint at which the start had it, in search evaluations;
- `evaluations`: for the structure of a first hit, evaluations until the hit; otherwise
  0;
- `positions`: `(rows, atoms, 3)`, 16-bit integers in units of `spacing`, `(rows,)`.

Each start has the best structure at its budgets, where it has changed, until its first
hit. And for each start:

- `spent`: evaluations of its search;
- `start_energies`: energy of its initial structure.

`settings` is a hash of the hyper-parameters of the optimizer.
"""

from __future__ import annotations

import lzma
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hopgym._atomic_write import atomic_save
from hopgym.environment import State
from hopgym.evaluation.first_hits import INTERVAL, FirstHits
from hopgym.suites.suite import Suite
from hopgym.systems import System

LEVELS = 2**15 - 1  # of 16-bit integers
COARSEST = 0.01  # spacing of positions, in units of the system's length
ROUNDING = 1e-6  # of lengths, which depend on the precision
QUENCH = 5000  # evaluations of a quench, at most
# What damaged files of NumPy and ZIP archives raise.
UNREADABLE = (
    *(ValueError, TypeError, AttributeError, MemoryError, RuntimeError, OverflowError),
    *(EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
INTEGERS = {"start", "step", "evaluations", "spent", "positions"}
NUMBERS = {"spacing", "start_energies"}


@dataclass(frozen=True)
class Structures:
    """The structures of an entry on one system; see this module.

    `is_clipped`: whether an atom is further away than positions can tell.
    """

    start: np.ndarray
    step: np.ndarray
    evaluations: np.ndarray
    positions: np.ndarray
    spent: np.ndarray
    start_energies: np.ndarray
    is_clipped: np.ndarray


class Collector:
    """Collects the best structures of a search at the budgets of a suite.

    **Arguments:**

    - `budgets`: the numbers of steps at which they are collected.
    """

    def __init__(self, budgets: tuple[int, ...]):
        self._budgets = budgets
        self._energies: list[np.ndarray] = []
        self._positions: list[np.ndarray] = []
        self._spent = np.zeros(0, int)

    def observe(self, done: int, state: State) -> None:
        """Collect the best structures if `done` is a budget."""
        if done in self._budgets:
            self._spent = np.array(state.evaluations)
            self._energies.append(np.array(state.best_energy))
            self._positions.append(np.array(state.best_positions))

    def finish(
        self,
        hits: FirstHits,
        first_hit: np.ndarray,
        start_energies: np.ndarray,
    ) -> Structures:
        """The structures, with those of the first hits.

        **Arguments:**

        - `hits`: the first hits of the search, finished.
        - `first_hit`: evaluations until them, or -1.
        - `start_energies`: see `Structures`.
        """
        rows = []
        for start, hit in enumerate(hits.steps):
            before = np.inf
            for budget, energies, positions in zip(
                self._budgets, self._energies, self._positions, strict=True
            ):
                is_new = energies[start] < before or before == np.inf
                if is_new and not 0 < hit <= budget:
                    rows.append((start, budget, 0, positions[start]))
                    before = energies[start]
            if hit > 0:
                rows.append((start, hit, first_hit[start], hits.positions[start]))
        starts, steps, evaluations, positions = zip(*rows, strict=True)
        return Structures(
            start=np.array(starts),
            step=np.array(steps),
            evaluations=np.array(evaluations),
            positions=np.array(positions, float),
            spent=self._spent,
            start_energies=np.asarray(start_energies, float),
            is_clipped=np.zeros(len(starts), bool),
        )


def save(path: Path, found: Structures, system: System, settings: str) -> None:
    """Write structures of a system; positions are centred, or wrapped into the box.

    `settings` is a hash of the optimizer's. **Raises:** `OSError` if the file cannot be
    written.
    """
    box = None if system.box is None else np.asarray(system.box, float)
    positions = found.positions
    positions = positions - positions.mean(axis=1, keepdims=True)
    if box is not None:
        positions = positions - box * np.round(positions / box)
    spacing = np.abs(positions).max(axis=(1, 2)) / LEVELS
    spacing = np.clip(spacing, 1e-9, COARSEST * float(system.length))
    levels = np.round(positions / spacing[:, None, None])
    path.parent.mkdir(exist_ok=True)
    atomic_save(
        path,
        lambda stream: np.savez_compressed(
            stream,
            start=found.start.astype(np.int32),
            step=found.step.astype(np.int32),
            evaluations=found.evaluations.astype(np.int32),
            positions=np.clip(levels, -LEVELS, LEVELS).astype(np.int16),
            spacing=spacing,
            spent=found.spent.astype(np.int32),
            start_energies=found.start_energies,
            settings=np.array(settings),
        ),
    )


def read_settings(path: Path) -> str:
    """The hash of the settings of the optimizer in a file of structures.

    **Raises:** `ValueError` if it is damaged; `OSError` if it cannot be read.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as content:
            return str(content["settings"])
    except (KeyError, *UNREADABLE) as error:
        raise ValueError(f"{path} is damaged: remove it") from error


def load(path: Path, system: System, suite: Suite) -> Structures:
    """Read structures, and check that they can be those of an entry.

    **Raises:** `ValueError`, which names the file and the start, if the file is damaged
    or has other atoms, starts, checkpoints or more evaluations than the suite;
    `OSError` if it cannot be read.
    """
    arrays = _read(path, suite.starts, system.atoms)
    spacing = arrays["spacing"]
    coarsest = COARSEST * float(system.length)
    if not np.all((spacing > 0) & (spacing <= (1 + ROUNDING) * coarsest)):
        raise ValueError(
            f"{path}: spacings of positions must be positive and at most {coarsest:g}"
        )
    found = Structures(
        start=arrays["start"],
        step=arrays["step"],
        evaluations=arrays["evaluations"],
        positions=arrays["positions"] * spacing[:, None, None],
        spent=arrays["spent"],
        start_energies=arrays["start_energies"],
        is_clipped=spacing >= (1 - ROUNDING) * coarsest,
    )
    _check_counts(path, found, suite)
    return found


def _read(path: Path, starts: int, atoms: int) -> dict[str, np.ndarray]:
    """Read the arrays of a file, and check their kinds and shapes."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as content:
            _check_sizes(content.zip, starts, atoms)
            arrays = {name: content[name] for name in (*INTEGERS, *NUMBERS)}
        rows = len(arrays["start"])
        arrays |= {name: _to_integers(arrays[name]) for name in INTEGERS}
    except KeyError as error:
        raise ValueError(f"{path} is damaged: {error.args[0]}") from error
    except UNREADABLE as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path} is no file of structures: {reason}") from error
    shapes = {
        "start": (rows,),
        "step": (rows,),
        "evaluations": (rows,),
        "positions": (rows, atoms, 3),
        "spacing": (rows,),
        "spent": (starts,),
        "start_energies": (starts,),
    }
    for name, shape in shapes.items():
        array = arrays[name]
        kind = "i" if name in INTEGERS else "f"
        if array.shape != shape or array.dtype.kind != kind:
            raise ValueError(
                f"{path}: {name} must have shape {shape}, got {array.shape} of "
                f"{array.dtype}"
            )
        if not np.all(np.isfinite(array)):
            raise ValueError(f"{path}: {name} must be finite")
    return arrays


def _to_integers(array: np.ndarray) -> np.ndarray:
    """Integers of any kind as those of Python; others as they are."""
    return array.astype(np.int64) if array.dtype.kind in "iu" else array


def _check_sizes(archive: zipfile.ZipFile, starts: int, atoms: int) -> None:
    """Check that arrays are not larger than those of an entry, before reading them."""
    most = 64 * starts * (3 * atoms + 100)
    size = sum(part.file_size for part in archive.infolist())
    if size > most:
        raise ValueError(f"it has {size:,} bytes, and those of an entry {most:,}")


def _check_counts(path: Path, found: Structures, suite: Suite) -> None:
    """Check the numbers of starts, steps and evaluations."""

    def complain(wrong: np.ndarray, text: str) -> None:
        if np.any(wrong):
            start = found.start[np.argmax(wrong)]
            raise ValueError(f"{path}: start {start} {text}")

    start, step, evaluations = found.start, found.step, found.evaluations
    is_known = (start >= 0) & (start < suite.starts)
    complain(~is_known, f"is none of the {suite.starts} of suite {suite.version}")
    if {*start.tolist()} != {*range(suite.starts)}:
        missing = min({*range(suite.starts)} - {*start.tolist()})
        raise ValueError(f"{path}: start {missing} has no structure")
    last = suite.steps
    complain(
        (step < 1) | (step > last) | ((step % INTERVAL != 0) & (step != last)),
        f"has a structure at a step that is no checkpoint (every {INTERVAL} steps to "
        f"{last:,})",
    )
    is_hit = evaluations != 0
    complain(
        is_hit & ((evaluations < 1) | (evaluations > step + 1 + QUENCH)),
        "has a hit after more evaluations than its checkpoint and a quench",
    )
    before = np.where(step > INTERVAL, (step - 1) // INTERVAL * INTERVAL + 1, 0)
    complain(
        is_hit & (evaluations <= before),
        "has a hit before the checkpoint that precedes that of its structure",
    )
    complain(
        is_hit & (evaluations > found.spent[start % suite.starts] + QUENCH),
        "has a hit after more evaluations than it spent",
    )
    follows = start[1:] == start[:-1]
    unordered = np.append(
        (start[1:] < start[:-1]) | (follows & (step[1:] <= step[:-1])), False
    )
    complain(unordered, "has structures that are not in the order of starts and steps")
    complain(
        np.append(follows & is_hit[:-1], False), "has structures after its first hit"
    )
    is_first = np.insert(~follows, 0, True)
    complain(
        is_first & (step > suite.budgets[0]) & ~is_hit,
        f"has no structure of the first {suite.budgets[0]:,} steps",
    )
    too_many = np.flatnonzero((found.spent < 1) | (found.spent > last + 1))
    if len(too_many):
        spent = found.spent[too_many[0]]
        raise ValueError(
            f"{path}: start {too_many[0]} spent {spent:,} evaluations; a start may "
            f"spend {last:,} and one for its first structure"
        )
