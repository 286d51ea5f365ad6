"""Table 2 and Fig. 5: the lowest energies of four systems, and their distribution."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from benchmarks import figures
from benchmarks.paper.study import AbstractStudy, CellPlan
from benchmarks.presets import PRESETS, Budget
from hopgym.evaluation import report
from hopgym.evaluation.columns import Cell

PRESET = PRESETS["paper"]
QUICK = Budget(starts=20, steps=2000)
FEW = ("adam", "fire", "bh-paper", "bh-lbfgs", "learn2hop-lj-set")


class Table2(AbstractStudy):
    """All optimizers on the four systems of the paper."""

    name: ClassVar[str] = "table2"
    title: ClassVar[str] = "Table 2 and Fig. 5: energies, and their distribution"
    claim: ClassVar[str] = (
        "learned optimizers find lower minima than Adam, FIRE and basin hopping with "
        "as many steps"
    )
    finding: ClassVar[str] = (
        "holds for weights trained by ESMC; basin hopping with L-BFGS is as good or "
        "better, if the best structure of each run counts"
    )

    def list_cells(self, quick: bool) -> Sequence[CellPlan]:
        optimizers = FEW if quick else PRESET.optimizers
        budgets = {
            name: QUICK if quick else budget for name, budget in PRESET.systems.items()
        }
        return [
            CellPlan(name, optimizer, budget.starts, budget.steps)
            for name, budget in budgets.items()
            for optimizer in optimizers
        ]

    def format(self, cells: Sequence[Cell], folder: Path) -> str:
        return report.render(cells, markdown=True)

    def draw(self, cells: Sequence[Cell], folder: Path) -> Sequence[Path]:
        return figures.draw(list(cells), folder)
