"""Evaluation of optimizers from Python, as by the command of the benchmark."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hopgym._checks import check_integer
from hopgym._cli.arguments import MAX_COUNT, MAX_STARTS
from hopgym._cli.lookup import check_sizes, get_systems
from hopgym.evaluation import report, run_cell
from hopgym.evaluation.columns import Cell, format_csv
from hopgym.evaluation.plugins import Entry, find_optimizer, wrap_optimizer
from hopgym.evaluation.run_cell import CellSpec
from hopgym.suites.registry import get_suite

PARTS = ("development", "test")


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Results of optimizers on systems.

    Shown as the tables of `python benchmarks/run.py`.

    **Attributes:** `cells`, a dictionary for each system and optimizer; its entries are
    the columns of the benchmark.
    """

    cells: list[Cell]

    def __repr__(self) -> str:
        return report.render(self.cells)

    def _repr_markdown_(self) -> str:
        return report.render(self.cells, markdown=True)

    def to_csv(self) -> str:
        """The numbers as CSV, a line for each cell, as in `results.csv`."""
        return format_csv(self.cells)


def evaluate(
    optimizers: Any,
    suite: str = "v1",
    *,
    systems: str | Iterable[str] = "development",
    starts: int | None = None,
    steps: int | None = None,
    progress: Callable[[str], None] | None = print,
) -> Evaluation:
    """Evaluate optimizers under the protocol of the benchmark.

    ```python
    print(hopgym.evaluate("bh-lbfgs", systems=["LJ-38"], starts=20, steps=10_000))
    ```

    **Arguments:**

    - `optimizers`: an optimizer, a class or function that makes one, the name of one of
      the zoo, `"FILE.py:NAME"`, the path of weights, or a list of these; or a
      dictionary of them by the names that tables show.
    - `suite`: version of the suite whose starts are used.
    - `systems`: `"development"` or `"test"`, for those of the suite; or names of any
      systems.
    - `starts`, `steps`: random starts per system, and evaluations of each; by default
      those of the suite (100 and 50,000).
    - `progress`: called with a line of text for each finished cell, or `None`.

    **Returns:** an [`hopgym.Evaluation`][].

    **Raises:** `ValueError` for unknown names, no or two optimizers of the same name,
    no or too many starts or steps, or what is no optimizer.
    """
    chosen = get_suite(suite)
    entries = _find_entries(optimizers)
    if isinstance(systems, str):
        names = getattr(chosen, systems) if systems in PARTS else [systems]
    else:
        names = list(systems)
    found = get_systems(names, chosen.get_system)
    starts = chosen.starts if starts is None else starts
    steps = chosen.steps if steps is None else steps
    starts = check_integer("starts", starts, 1, MAX_STARTS)
    steps = check_integer("steps", steps, 1, MAX_COUNT)
    check_sizes(found, starts)
    cells = []
    for system in found:
        for entry in entries:
            seed = chosen.derive_seed(system.name)
            spec = CellSpec(system, entry, starts, steps, seed)
            optimizer = entry.make(system, steps)
            cell = run_cell.run(spec, optimizer, _ignore_progress, _ignore_stage)
            cells.append(cell)
            if progress is not None:
                progress(f"{'  '.join(spec.name)}  {report.summarise_cell(cell)}")
    return Evaluation(cells)


def _find_entries(optimizers: Any) -> list[Entry]:
    if isinstance(optimizers, Mapping):
        named = [(str(name), one) for name, one in optimizers.items()]
    elif isinstance(optimizers, list | tuple):
        named = [(None, one) for one in optimizers]
    else:
        named = [(None, optimizers)]
    entries = [_find_entry(one, name) for name, one in named]
    names = [entry.name for entry in entries]
    if not names or len({*names}) < len(names):
        raise ValueError(
            "give at least one optimizer, and different names to those of one class, "
            'as in {"slow": Mine(1e-4), "fast": Mine(1e-3)}; got '
            f"{', '.join(names) or 'none'}"
        )
    return entries


def _find_entry(optimizer: Any, name: str | None) -> Entry:
    if isinstance(optimizer, str | Path):
        entry = find_optimizer(str(optimizer))
    else:
        entry = wrap_optimizer(optimizer)
    return entry if name is None else dataclasses.replace(entry, name=name)


def _ignore_progress(done: int, best: np.ndarray) -> None:
    """Nothing is shown during a cell."""


def _ignore_stage(stage: str) -> None:
    """Nor are its stages."""
