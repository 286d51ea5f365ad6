"""What the studies of the paper's figures and tables have in common."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from matplotlib.figure import Figure

from hopgym.evaluation.columns import Cell
from hopgym.evaluation.figure_file import save_figure
from hopgym.optimizers.learned import SUFFIX

COMMITTED = Path(__file__).resolve().parents[1] / "results"
METRICS = ".jsonl"  # after the name of a training
FIGURE = "figure.png"


@dataclass(frozen=True)
class Training:
    """A training by `python -m hopgym.meta.train`.

    **Arguments:**

    - `name`: of its weights.
    - `updates`: number of meta-updates.
    - `options`: the other options of the command, but for the folder.
    """

    name: str
    updates: int
    options: tuple[str, ...]


@dataclass(frozen=True)
class CellPlan:
    """A cell of the benchmark, by names.

    `optimizer` is one of the zoo, or the name of a training of the study.
    """

    system: str
    optimizer: str
    starts: int
    steps: int


class AbstractStudy(abc.ABC):
    """A figure or table of the paper.

    - `name`: by which the command knows it, and its folder of results.
    - `title`: the heading of its section in `docs/paper.md`.
    - `claim`: what the paper says that it shows.
    - `finding`: whether that holds here.
    - `budget`, `quick_budget`: starts of a cell, and evaluations of each, unless
      `list_cells` has others.
    - `dpi`: dots per inch of the figure.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    claim: ClassVar[str]
    finding: ClassVar[str]
    budget: ClassVar[tuple[int, int]] = (150, 50_000)
    quick_budget: ClassVar[tuple[int, int]] = (20, 2000)
    dpi: ClassVar[int] = 150

    def list_trainings(self) -> Sequence[Training]:
        """The trainings whose weights the cells need."""
        return ()

    @abc.abstractmethod
    def list_cells(self, quick: bool) -> Sequence[CellPlan]:
        """The cells to run, or some of them with a small budget."""

    def measure(
        self, cells: Sequence[Cell], folder: Path, stop: Callable[[], bool], fresh: bool
    ) -> bool:
        """Compute what is no cell of the benchmark, unless the folder has it.

        **Arguments:**

        - `cells`, `folder`: see `format`.
        - `stop`: whether the time limit has passed.
        - `fresh`: whether to compute what the folder has again.

        **Returns:** whether all is computed.
        """
        return True

    @abc.abstractmethod
    def format(self, cells: Sequence[Cell], folder: Path) -> str:
        """Format the tables of the results that there are, in Markdown.

        **Arguments:**

        - `cells`: the finished ones.
        - `folder`: the results folder.

        **Raises:** `ValueError` if other results are damaged or missing.
        """

    def plot(self, cells: Sequence[Cell], folder: Path) -> Figure | None:
        """Plot the results that there are; `None` if there is no figure of them.

        Arguments and errors are those of `format`.
        """
        return None

    def draw(self, cells: Sequence[Cell], folder: Path) -> Sequence[Path]:
        """Write the figures into the results folder, and return their paths."""
        figure = self.plot(cells, folder)
        if figure is None:
            return ()
        save_figure(folder / FIGURE, figure, self.dpi)
        return [folder / FIGURE]

    def has_results(self, name: str) -> bool:
        """Whether the weights of a training, or its metrics, come with hopgym."""
        paths = (COMMITTED / self.name / f"{name}{end}" for end in (SUFFIX, METRICS))
        return any(path.is_file() for path in paths)

    def find_weights(self, folder: Path, name: str) -> Path:
        """Find the weights of a training: in a folder, or those of hopgym.

        **Raises:** `ValueError` if there are none.
        """
        path = self._find(folder, f"{name}{SUFFIX}")
        if path is None:
            raise ValueError(f"there are no weights {name} in {folder}: add --train")
        return path

    def find_metrics(self, folder: Path, name: str) -> Path | None:
        """Find the metrics of a training, as its weights; `None` if there are none."""
        return self._find(folder, f"{name}{METRICS}")

    def _find(self, folder: Path, name: str) -> Path | None:
        """Find a file of a training; those of a folder and of hopgym are not mixed."""
        suffix = Path(name).suffix
        is_own = any(
            (folder / f"{one.name}{suffix}").is_file() for one in self.list_trainings()
        )
        path = (folder if is_own else COMMITTED / self.name) / name
        return path if path.is_file() else None
