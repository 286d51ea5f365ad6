"""Table 3: which inputs of the learned optimizer matter."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from benchmarks.paper.study import AbstractStudy, CellPlan, Training
from hopgym.evaluation.columns import Cell
from hopgym.evaluation.markdown import format_markdown
from hopgym.evaluation.published import ADAM_OF_TABLE_3, TABLE_3
from hopgym.optimizers.learned import FEATURES

SYSTEM = "LJ-75"
STRATEGIES = ("esmc", "ga")
SEEDS = (0, 1, 2)
UPDATES, UNROLL = 150, 2000
BASE = "mlp-opt"  # the optimizer on which the paper's is based
ROWS = (*FEATURES, BASE)
BUDGETS = (UNROLL, 50_000)
STARTS = 150


def name_weights(row: str, strategy: str, seed: int) -> str:
    """Name of the weights of a row of the table."""
    return f"{row}-{strategy}-{seed}"


class Table3(AbstractStudy):
    """Optimizers that are trained with more and more inputs."""

    name: ClassVar[str] = "table3"
    title: ClassVar[str] = "Table 3: which inputs matter"
    claim: ClassVar[str] = (
        "sines of the step and radial functions of the neighbours matter most, moving "
        "averages of the gradient a little"
    )
    finding: ClassVar[str] = (
        "does not hold with these trainings: moving averages of the gradient matter, "
        "sines and radial functions no more than the seed"
    )

    def list_trainings(self) -> Sequence[Training]:
        trainings = []
        for seed in SEEDS:
            for row in ROWS:
                if row == BASE:
                    inputs = ("--optimizer", BASE)
                else:
                    first = FEATURES[: FEATURES.index(row) + 1]
                    inputs = ("--features", ",".join(first))
                for strategy in STRATEGIES:
                    options = ("--systems", SYSTEM, "--unroll", str(UNROLL))
                    options += ("--strategy", strategy, *inputs, "--seed", str(seed))
                    name = name_weights(row, strategy, seed)
                    trainings.append(Training(name, UPDATES, options))
        return trainings

    def list_cells(self, quick: bool) -> Sequence[CellPlan]:
        if quick:
            rows, seeds, budgets, starts = (FEATURES[0], FEATURES[-1]), (0,), (400,), 20
        else:
            rows, seeds, budgets, starts = ROWS, SEEDS, BUDGETS, STARTS
        names = [
            name_weights(row, strategy, seed)
            for row in rows
            for strategy in STRATEGIES
            for seed in seeds
        ]
        return [
            CellPlan(SYSTEM, name, starts, steps)
            for steps in budgets
            for name in ("adam", *names)
        ]

    def format(self, cells: Sequence[Cell], folder: Path) -> str:
        found = {(cell["steps"], cell["optimizer"]): cell for cell in cells}
        tables = []
        for steps in sorted({steps for steps, _ in found}):
            own = {name: cell for (n, name), cell in found.items() if n == steps}
            for strategy in STRATEGIES:
                title = f"{strategy.upper()}, {steps:,} evaluations:"
                tables.append(f"{title}\n\n{_format_table(strategy, own)}")
        return "\n\n".join(tables)


# Heading and name.
SHOWN = {"final min": "final_min", "final mean": "final_mean", "mean": "mean"}


def _format_table(strategy: str, found: dict[str, Cell]) -> str:
    """Format medians over seeds with the lowest and the highest."""
    published = TABLE_3[strategy]
    labels = {row: f"`{row}`" if row == BASE else f"+ {row}" for row in ROWS}
    lines = [
        ("none: Adam", ["adam"], ADAM_OF_TABLE_3),
        *(
            (labels[row], _name_seeds(row, strategy), published.get(row))
            for row in ROWS
        ),
    ]
    rows = []
    for label, names, energy in lines:
        own = [found[name] for name in names if name in found]
        if own:
            medians = [_format_seeds([cell[c] for cell in own]) for c in SHOWN.values()]
            hits = _format_seeds([cell["hits"] for cell in own], digits=0)
            starts = own[0]["starts"]
            paper = "" if energy is None else f"{energy:.1f}"
            rows.append([label, *medians, f"{hits} of {starts}", paper])
    head = ["inputs", *SHOWN, "hits", "paper: final min"]
    return format_markdown(head, rows, right=True)


def _name_seeds(row: str, strategy: str) -> list[str]:
    return [name_weights(row, strategy, seed) for seed in SEEDS]


def _format_seeds(found: list[float | None], digits: int = 2) -> str:
    """Format median, minimum and maximum; means that are not finite are null."""
    values = [math.inf if value is None else value for value in found]
    text = f"{statistics.median(values):.{digits}f}"
    if len(values) == 1:
        return text
    return f"{text} [{min(values):.{digits}f}, {max(values):.{digits}f}]"
