"""Table 6: transfer between potentials."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from benchmarks.paper.study import AbstractStudy, CellPlan, Training
from hopgym.evaluation.columns import Cell, format_energy, format_rate
from hopgym.evaluation.markdown import format_markdown
from hopgym.evaluation.published import TABLE_6

SYSTEMS = ("LJ-13", "LJ-75", "SW-Si64")
SILICON = "silicon-esmc"
# Optimizers, and rows of the paper.
ROWS = {
    "adam": "Adam",
    "fire": "FIRE",
    "learn2hop-lj-set": "six Lennard-Jones clusters",
    SILICON: "silicon",
}
UPDATES, UNROLL = 150, 2000
# Heading and name.
SHOWN = {"final mean": "final_mean", "mean": "mean", "min": "min"}


class Table6(AbstractStudy):
    """Optimizers trained on Lennard-Jones clusters or silicon, and on the other."""

    name: ClassVar[str] = "table6"
    title: ClassVar[str] = "Table 6: transfer between potentials"
    claim: ClassVar[str] = (
        "optimizers trained on Lennard-Jones clusters are better than Adam and FIRE on "
        "silicon, but those trained on silicon are far worse on Lennard-Jones clusters"
    )
    finding: ClassVar[str] = (
        "the first half holds; those trained on silicon are better than Adam and FIRE "
        "on Lennard-Jones clusters, too, if the best structure of each run counts"
    )

    def list_trainings(self) -> Sequence[Training]:
        options = ("--systems", "SW-Si64", "--strategy", "esmc", "--loss", "best")
        return [Training(SILICON, UPDATES, (*options, "--unroll", str(UNROLL)))]

    def list_cells(self, quick: bool) -> Sequence[CellPlan]:
        starts, steps = self.quick_budget if quick else self.budget
        return [
            CellPlan(system, optimizer, starts, steps)
            for system in SYSTEMS
            for optimizer in ROWS
        ]

    def format(self, cells: Sequence[Cell], folder: Path) -> str:
        rows = []
        for cell in cells:
            row = ROWS[cell["optimizer"]]
            rows.append(
                [
                    cell["system"],
                    row,
                    *(format_energy(cell[name], 2) for name in SHOWN.values()),
                    format_rate(cell),
                    f"{TABLE_6[row][cell['system']]:.1f}",
                ]
            )
        head = ["system", "optimizer, or what it was trained on", *SHOWN]
        head.append("hit rate [95%]")
        return format_markdown([*head, "paper: final mean"], rows, right=True)
