"""Compare optimizers by evaluations per hit, over all systems that they have in common.

python benchmarks/compare.py benchmarks/results/yardstick --against bh-symmetric

Evaluations per hit are those of all starts until their first hits, divided by the
number of hits; without a hit, half a one is counted. Their logarithms are averaged over
systems. Standard errors are those of 2,000 resamples of the starts of each cell.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == "__main__":
    from benchmarks import start as start

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.store import read_sound_record
from hopgym._cli.arguments import Parser, parse_names
from hopgym._cli.lookup import check_names
from hopgym._cli.process import run as run_command
from hopgym.evaluation.columns import Cell, format_hits
from hopgym.evaluation.markdown import format_markdown
from hopgym.evaluation.summarise import count_until_hit

RESAMPLES = 2000
NO_HIT = 0.5  # hits that count if there are none


def log_evaluations_per_hit(
    first_hit: np.ndarray, evaluations: int
) -> np.ndarray | float:
    """Logarithm of the evaluations per hit.

    **Arguments:**

    - `first_hit`: evaluations until the first hit, not positive without one; the last
      axis is that of starts.
    - `evaluations`: number for each start without a hit.
    """
    spent = count_until_hit(first_hit, evaluations).sum(axis=-1)
    return np.log(spent / np.maximum((first_hit > 0).sum(axis=-1), NO_HIT))


def resample(cell: Cell, generator: np.random.Generator) -> tuple[float, float]:
    """Logarithm of the evaluations per hit of a cell, and its standard error."""
    first_hit = np.asarray(cell["first_hit"])
    steps = cell["steps"] + 1
    drawn = generator.choice(first_hit, (RESAMPLES, len(first_hit)))
    found = log_evaluations_per_hit(drawn, steps)
    return float(log_evaluations_per_hit(first_hit, steps)), float(np.std(found))


def select(
    cells: Sequence[Cell], systems: Sequence[str] = ()
) -> tuple[dict[str, dict[str, Cell]], list[str]]:
    """Cells by optimizer and system, and the systems that every optimizer has.

    Cells without a known minimum are left out.

    **Raises:** `ValueError` if there is no common system, or budgets or starts differ.
    """
    table: dict[str, dict[str, Cell]] = {}
    for cell in cells:
        if cell["hits"] is not None:
            row = table.setdefault(cell["optimizer"], {})
            before = row.setdefault(cell["system"], cell)
            if _get_budget(before) != _get_budget(cell):
                raise ValueError(f"cells of {cell['system']} differ in steps or starts")
            row[cell["system"]] = cell
    common = [
        system
        for system in dict.fromkeys(cell["system"] for cell in cells)
        if table
        and all(system in row for row in table.values())
        and (not systems or system in systems)
    ]
    if not common:
        raise ValueError("there is no system with a known minimum that all have")
    for system in common:
        own = [row[system] for row in table.values()]
        if len(set(map(_get_budget, own))) > 1:
            raise ValueError(f"cells of {system} differ in steps or starts")
    return table, common


def _get_budget(cell: Cell) -> tuple[int, int]:
    return cell["steps"], cell["starts"]


def average(
    table: dict[str, dict[str, Cell]], systems: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """Mean over systems of the logarithm of evaluations per hit, and standard errors.

    By optimizer, the best one first.
    """
    generator = np.random.default_rng(0)
    means = {}
    for name, row in table.items():
        found = [resample(row[system], generator) for system in systems]
        error = np.sqrt(np.sum([error**2 for _, error in found])) / len(systems)
        means[name] = float(np.mean([value for value, _ in found])), float(error)
    return dict(sorted(means.items(), key=lambda item: item[1]))


def subtract(one: tuple[float, float], other: tuple[float, float]) -> str:
    """Format the difference of two means with its standard error."""
    return f"{one[0] - other[0]:+.2f} ± {np.hypot(one[1], other[1]):.2f}"


def compare(
    cells: Sequence[Cell], against: str | None = None, systems: Sequence[str] = ()
) -> str:
    """Format a table of optimizers, the best one first.

    **Arguments:**

    - `cells`: those without a known minimum are left out.
    - `against`: the optimizer with which the others are compared.
    - `systems`: by default all that every optimizer has.

    **Raises:** `ValueError` for an unknown optimizer, and as `select`.
    """
    table, common = select(cells, systems)
    if against is not None:
        check_names("optimizer", [against], list(table))
    means = average(table, common)
    head = ["optimizer", *common, "evaluations per hit, geometric mean"]
    rows = []
    for name, (mean, error) in means.items():
        low, high = (np.exp(mean + sign * error) for sign in (-1, 1))
        hits = [format_hits(table[name][system]) for system in common]
        shown = f"{np.exp(mean):,.0f} [{low:,.0f}, {high:,.0f}]"
        rows.append([f"`{name}`", *hits, shown])
        if against is not None:
            is_same = name == against
            rows[-1].append("" if is_same else subtract(means[name], means[against]))
    if against is not None:
        head.append(f"logarithm of the ratio to `{against}`")
    return format_markdown(head, rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, or 2 for invalid arguments."""
    parser = Parser(prog="compare.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with results.jsonl")
    parser.add_argument("--against", metavar="NAME", help="show differences from it")
    parser.add_argument("--systems", metavar="A,B", type=parse_names, default=[])
    options = parser.parse_args(arguments)
    try:
        cells = read_sound_record(options.folder)
        if options.systems:
            check_names("system", options.systems, [cell["system"] for cell in cells])
        print(compare(cells, options.against, options.systems))
    except (KeyError, ValueError, OSError) as error:
        parser.fail(error)
    return 0


if __name__ == "__main__":
    run_command(main)
