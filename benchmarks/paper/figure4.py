"""Figs. 4 and 8: energies of Lennard-Jones clusters against the number of atoms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.paper.study import AbstractStudy, CellPlan, Training
from benchmarks.sweep_figure import get_size
from hopgym.evaluation.columns import Cell
from hopgym.evaluation.figure_file import choose_colours
from hopgym.evaluation.markdown import format_markdown

TRAINED = (13, 19, 31, 38, 55, 75)  # sizes on which the paper's optimizers were trained
SIZES = tuple(sorted({*range(5, 101, 5), *TRAINED}))
FEW_SIZES = (5, 13, 38, 75)
SIX = "learn2hop-lj-set"  # trained on the six sizes
GREY = "0.35"
UPDATES, UNROLL = 250, 2000


class AbstractSizes(AbstractStudy):
    """Optimizers on clusters of many sizes.

    - `optimizers`: those that are shown.
    """

    optimizers: ClassVar[tuple[str, ...]]

    def list_cells(self, quick: bool) -> Sequence[CellPlan]:
        starts, steps = self.quick_budget if quick else self.budget
        return [
            CellPlan(f"LJ-{size}", optimizer, starts, steps)
            for size in (FEW_SIZES if quick else SIZES)
            for optimizer in self.optimizers
        ]

    def format(self, cells: Sequence[Cell], folder: Path) -> str:
        """Means over sizes of energies per atom above the lowest known, and hits."""
        head = ["optimizer", "sizes", "mean, per atom", "min, per atom"]
        head += [
            "final mean, per atom",
            "final min, per atom",
            "sizes found",
            "hits",
            "starts",
        ]
        rows = []
        for name in dict.fromkeys(cell["optimizer"] for cell in cells):
            own = [cell for cell in cells if cell["optimizer"] == name]
            rows.append(
                [
                    f"`{name}`",
                    str(len(own)),
                    *(
                        f"{np.mean([_compute_gap(cell, column) for cell in own]):z.4f}"
                        for column in ("mean", "min", "final_mean", "final_min")
                    ),
                    str(sum(cell["hits"] > 0 for cell in own)),
                    str(sum(cell["hits"] for cell in own)),
                    str(sum(cell["starts"] for cell in own)),
                ]
            )
        return format_markdown(head, rows, right=True)

    def plot(self, cells: Sequence[Cell], folder: Path) -> Figure:
        return plot(cells)


class Figure4(AbstractSizes):
    """How optimizers that were trained on six sizes do on others."""

    name: ClassVar[str] = "fig4"
    title: ClassVar[str] = "Fig. 4: numbers of atoms that the training lacked"
    claim: ClassVar[str] = (
        "on all numbers of atoms, learned optimizers have lower mean and lowest "
        "energies than Adam and FIRE, also on those on which they were not trained"
    )
    finding: ClassVar[str] = (
        "holds from ten atoms on, but for two lowest last structures; basin hopping "
        "with L-BFGS finds the minima of all sizes"
    )
    optimizers: ClassVar[tuple[str, ...]] = (
        *("adam", "fire", "bh-paper", SIX, "six-ga", "bh-lbfgs", "bh-symmetric"),
    )

    def list_trainings(self) -> Sequence[Training]:
        systems = ",".join(f"LJ-{size}" for size in TRAINED)
        return [_train("six-ga", systems, "ga")]


class Figure8(AbstractSizes):
    """How much the sizes of the training matter."""

    name: ClassVar[str] = "fig8"
    title: ClassVar[str] = "Fig. 8: does it take six sizes?"
    claim: ClassVar[str] = (
        "those trained on 13 or on 75 atoms only are better than Adam and FIRE, but do "
        "not generalise as well as those trained on six sizes"
    )
    finding: ClassVar[str] = (
        "the first half holds, the second for means of the best structures of each "
        "run, but not of the last ones"
    )
    optimizers: ClassVar[tuple[str, ...]] = (
        *("adam", "fire", "learn2hop-lj13-esmc", "lj75-esmc", SIX),
    )

    def list_trainings(self) -> Sequence[Training]:
        return [_train("lj75-esmc", "LJ-75", "esmc")]


def _train(name: str, systems: str, strategy: str) -> Training:
    options = ("--systems", systems, "--strategy", strategy, "--loss", "best")
    return Training(name, UPDATES, (*options, "--unroll", str(UNROLL)))


def _compute_gap(cell: Cell, column: str) -> float:
    """Energy per atom above the lowest known; infinite if the column is null."""
    energy = math.inf if cell[column] is None else cell[column]
    return (energy - cell["reference"]) / get_size(cell)


def plot(cells: Sequence[Cell]) -> Figure:
    """Plot mean and lowest energies per atom, above the lowest known, against size.

    On the left ours, of quenched best structures, and on the right the paper's, of
    polished last ones. Dashed lines are the sizes of the paper's training.
    """
    figure = Figure(figsize=(10, 6.4), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True, sharey="row")
    columns = (("mean", "final_mean"), ("min", "final_min"))
    for row, names in zip(panels, columns, strict=True):
        for axes, column in zip(row, names, strict=True):
            _plot(axes, cells, column)
    panels[0, 0].set_title("quenched best structures", fontsize="medium")
    panels[0, 1].set_title(
        "polished last structures, as in the paper", fontsize="medium"
    )
    for axes, what in zip(panels[:, 0], ("mean", "lowest"), strict=True):
        axes.set_ylabel(f"{what} energy per atom\nabove the lowest known")
    for axes in panels[1]:
        axes.set_xlabel("atoms; dashed: sizes of the training")
    starts, steps = cells[0]["starts"], cells[0]["steps"]
    figure.suptitle(
        f"Lennard-Jones clusters, {starts} starts x {steps:,} evaluations",
        fontsize="medium",
    )
    lines, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure


def _plot(axes: Axes, cells: Sequence[Cell], column: str) -> None:
    colours = choose_colours(cell["optimizer"] for cell in cells)
    sizes = [get_size(cell) for cell in cells]
    for size in TRAINED:
        if min(sizes) <= size <= max(sizes):
            axes.axvline(size, color=GREY, linewidth=0.7, linestyle="--")
    for name, colour in colours.items():
        own = sorted(
            (cell for cell in cells if cell["optimizer"] == name), key=get_size
        )
        gaps = [_compute_gap(cell, column) for cell in own]
        axes.plot(
            [get_size(cell) for cell in own],
            gaps,
            marker="o",
            markersize=2.5,
            linewidth=1.2,
            color=colour,
            label=name,
        )
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    # One that diverges must not hide the others.
    gaps = np.array([_compute_gap(cell, column) for cell in cells])
    shown = gaps[np.isfinite(gaps)]
    if len(shown):
        axes.set_ylim(-0.01, min(shown.max(), 3 * np.median(shown) + 0.3))
