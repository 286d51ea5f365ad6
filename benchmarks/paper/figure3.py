"""Fig. 3: meta-training by several strategies."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from matplotlib.figure import Figure

from benchmarks.paper.study import AbstractStudy, CellPlan, Training
from hopgym.evaluation.columns import Cell
from hopgym.evaluation.markdown import format_markdown

SYSTEM = "LJ-13"
UPDATES, UNROLL = 300, 2000
SEEDS = (0, 1, 2)
LABELS = {
    "es": "ES, losses bounded",
    "es-unbounded": "ES, losses unbounded",
    "esmc": "ESMC",
    "ga": "GA",
}
OPTIONS: dict[str, tuple[str, ...]] = {
    "es": ("--strategy", "es"),
    "es-unbounded": ("--strategy", "es", "--unbounded"),
    "esmc": ("--strategy", "esmc"),
    "ga": ("--strategy", "ga"),
}

# Evaluations on held-out starts by strategy, seed and update.
Runs = dict[str, dict[int, dict[int, dict[str, Any]]]]


class Figure3(AbstractStudy):
    """The course of the meta-loss on held-out starts."""

    name: ClassVar[str] = "fig3"
    title: ClassVar[str] = "Fig. 3: strategies of meta-training"
    claim: ClassVar[str] = (
        "the genetic algorithm improves early and steadily; ES with and without "
        "clipping starts to find the global minimum after 300 to 400 updates; ESMC "
        "retains it, ES without clipping forgets"
    )
    finding: ClassVar[str] = (
        "the genetic algorithm is ahead, but not steady; ESMC learns faster than ES, "
        "which hardly learns in 300 updates; bounding losses changes nothing"
    )
    dpi: ClassVar[int] = 120

    def list_trainings(self) -> Sequence[Training]:
        common = ("--systems", SYSTEM, "--unroll", str(UNROLL))
        return [
            Training(
                f"{name}-{seed}",
                UPDATES,
                (*common, *OPTIONS[name], "--seed", str(seed)),
            )
            for seed in SEEDS
            for name in LABELS
        ]

    def list_cells(self, quick: bool) -> Sequence[CellPlan]:
        return ()

    def format(self, cells: Sequence[Cell], folder: Path) -> str:
        head = [
            "strategy",
            "seeds",
            "updates",
            "final loss, mean",
            "standard deviation",
        ]
        head += ["lowest loss, mean", "hits at the end", "most hits", "of starts"]
        rows = []
        for name, seeds in self._read_runs(folder).items():
            courses = list(seeds.values())
            last = [course[max(course)] for course in courses]
            ends = [cell["final_loss"] for cell in last]
            lowest = [
                min(cell["final_loss"] for cell in course.values())
                for course in courses
            ]
            most = [max(cell["hits"] for cell in course.values()) for course in courses]
            rows.append(
                [
                    LABELS[name],
                    str(len(seeds)),
                    str(min(max(course) for course in courses)),
                    f"{statistics.mean(ends):.4f}",
                    f"{statistics.stdev(ends):.4f}" if len(ends) > 1 else "",
                    f"{statistics.mean(lowest):.4f}",
                    ", ".join(str(cell["hits"]) for cell in last),
                    ", ".join(map(str, most)),
                    str(last[0]["starts"]),
                ]
            )
        return format_markdown(head, rows)

    def plot(self, cells: Sequence[Cell], folder: Path) -> Figure:
        return plot(self._read_runs(folder))

    def _read_runs(self, folder: Path) -> Runs:
        """Read the metrics of the trainings that there are.

        **Raises:** `ValueError` if there are none, or a file is damaged.
        """
        found: Runs = {name: {} for name in LABELS}
        for one in self.list_trainings():
            path = self.find_metrics(folder, one.name)
            if path is not None:
                name, _, seed = one.name.rpartition("-")
                found[name][int(seed)] = _read_course(path)
        if not any(found.values()):
            raise ValueError(f"{folder} has no metrics of trainings: add --train")
        return {name: seeds for name, seeds in found.items() if seeds}


def _read_course(path: Path) -> dict[int, dict[str, Any]]:
    """Read the evaluations of a training, by update."""
    needed = {"final_loss", "hit_rate", "hits", "starts"}
    course = {}
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        course = {
            line["update"]: next(iter(line["evaluation"].values()))
            for line in lines
            if "evaluation" in line
        }
        is_whole = all(needed <= cell.keys() for cell in course.values())
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration):
        is_whole = False
    if not (course and is_whole):
        raise ValueError(f"{path} is damaged")
    return course


def plot(runs: Runs) -> Figure:
    """Plot mean and range over seeds of the meta-loss and of the hit rate."""
    figure = Figure(figsize=(7, 6), layout="constrained")
    losses, rates = figure.subplots(2, 1, sharex=True)
    for name, seeds in runs.items():
        updates = sorted(set.intersection(*(set(course) for course in seeds.values())))
        style = ":" if name == "es-unbounded" else "-"
        for axes, what in ((losses, "final_loss"), (rates, "hit_rate")):
            table = [
                [course[update][what] for course in seeds.values()]
                for update in updates
            ]
            means = [statistics.mean(row) for row in table]
            label = f"{LABELS[name]} ({len(seeds)} seeds)"
            (line,) = axes.plot(updates, means, style, label=label)
            low, high = [min(row) for row in table], [max(row) for row in table]
            axes.fill_between(
                updates, low, high, color=line.get_color(), alpha=0.15, linewidth=0
            )
    losses.set_ylabel("meta-loss, held-out starts")
    rates.set_ylabel("hit rate")
    rates.set_ylim(-0.02, 1.02)
    rates.set_xlabel("meta-updates")
    losses.legend(fontsize="small")
    return figure
