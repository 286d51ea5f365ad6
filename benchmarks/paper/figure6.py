"""Fig. 6: what optimizers do on the way, and whether they hop."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.paper.study import AbstractStudy, CellPlan, Training
from benchmarks.paper.trajectories import ENLARGED, measure, measure_updates
from hopgym import Environment, quench, rollout
from hopgym._atomic_write import atomic_write
from hopgym._cli.lookup import get_systems
from hopgym._cli.progress import say
from hopgym.evaluation.columns import Cell, format_energy, format_rate
from hopgym.evaluation.figure_file import choose_colours
from hopgym.evaluation.markdown import format_markdown
from hopgym.evaluation.plugins import find_optimizer

SYSTEM = "LJ-13"
# Trained for the final energy, as those of the paper; the others for the best energy.
FINAL = ("final-esmc", "final-ga")
LEARNED = ("learn2hop-lj13-esmc", "learn2hop-lj-set", *FINAL)
OPTIMIZERS = ("adam", *LEARNED, "annealing", "bh-paper", "bh-lbfgs")
UPDATES, UNROLL = 300, 2000
FOLLOWED = 50  # starts whose structures are quenched on the way
EVERY = 50  # steps between these
WINDOW = 50  # of update sizes of which the largest is shown
GREY = "0.35"
# Of a file of trajectories.
ENTRIES = {"key", "every_drawn", "energies", "enlarged", "hops", "length", "minima"}
ENTRIES |= {"returns", "updates", "window"}
THIN = 0.6  # lines


class Figure6(AbstractStudy):
    """Trajectories of 13 atoms, updates at the minimum, hits after bad starts."""

    name: ClassVar[str] = "fig6"
    title: ClassVar[str] = "Fig. 6: do learned optimizers hop?"
    claim: ClassVar[str] = (
        "learned optimizers hop between basins, midway through a trajectory also "
        "without a gradient, and find the minimum from starts from which Adam does not"
    )
    finding: ClassVar[str] = (
        "they find the minimum from all of these starts, but hop less than 1 time in "
        "1,000 evaluations, basin hopping with L-BFGS 10 times"
    )
    dpi: ClassVar[int] = 100

    def list_trainings(self) -> Sequence[Training]:
        common = ("--systems", SYSTEM, "--unroll", str(UNROLL), "--strategy")
        return [
            Training(name, UPDATES, (*common, name.removeprefix("final-")))
            for name in FINAL
        ]

    def list_cells(self, quick: bool) -> Sequence[CellPlan]:
        starts, steps = self.quick_budget if quick else self.budget
        return [CellPlan(SYSTEM, name, starts, steps) for name in OPTIMIZERS]

    def measure(
        self, cells: Sequence[Cell], folder: Path, stop: Callable[[], bool], fresh: bool
    ) -> bool:
        minimum = None
        for cell in cells:
            name, key = cell["optimizer"], make_key(cell)
            found = None if fresh else _read(folder, name)
            if found is not None and found["key"] == key:
                continue
            if stop():
                say("time limit reached: the same command resumes")
                return False
            say(f"trajectories of {name}")
            if minimum is None:
                minimum = find_minimum(cell["seed"])
            source = self.find_weights(folder, name) if name in FINAL else name
            followed = follow(cell, str(source), minimum)
            line = json.dumps({"key": key, **followed})
            atomic_write(_name_file(folder, name), f"{line}\n")
        return True

    def format(self, cells: Sequence[Cell], folder: Path) -> str:
        lucky = _find_lucky(cells)
        head = ["optimizer", "hops in 1,000 evaluations", "length of a hop"]
        head += ["minima of a start", "hops to earlier minima", "final mean", "mean"]
        head.append("hit rate [95%]")
        if lucky is not None:
            head += ["hits, Adam hits", "hits, Adam does not"]
        rows = []
        for cell in cells:
            found = _read(folder, cell["optimizer"])
            if found is None:
                continue
            hit = np.asarray(cell["first_hit"]) > 0
            groups = () if lucky is None else (lucky, ~lucky)
            rows.append(
                [
                    f"`{cell['optimizer']}`",
                    f"{found['hops']:.3f}",
                    "" if found["length"] is None else f"{found['length']:.2f}",
                    f"{found['minima']:.1f}",
                    "" if found["returns"] is None else f"{found['returns']:.0%}",
                    format_energy(cell["final_mean"], 2),
                    format_energy(cell["mean"], 2),
                    format_rate(cell),
                    *(f"{hit[group].sum()}/{group.sum()}" for group in groups),
                ]
            )
        return format_markdown(head, rows, right=True)

    def plot(self, cells: Sequence[Cell], folder: Path) -> Figure | None:
        names = [cell["optimizer"] for cell in cells]
        found = {name: own for name in names if (own := _read(folder, name))}
        return plot(found, cells) if found else None


def find_minimum(seed: int) -> Any:
    """The global minimum of the system, by basin hopping."""
    (system,) = get_systems([SYSTEM])
    search = find_optimizer("bh-lbfgs").make(system, 5000)
    found = rollout(Environment(system), search, jax.random.key(seed), 4, 5000).state
    lowest = int(np.argmin(np.asarray(found.best_energy)))
    return quench(system, found.best_positions[lowest]).positions


def follow(cell: Cell, source: str, minimum: Any) -> dict[str, Any]:
    """Measure the trajectories of an optimizer, and its updates at the minimum.

    `source` is its name in the zoo, or its file of weights.
    """
    (system,) = get_systems([SYSTEM])
    steps, seed = cell["steps"], cell["seed"]
    optimizer = find_optimizer(source).make(system, steps)
    starts = min(FOLLOWED, cell["starts"])
    every = min(EVERY, max(1, steps // 2))
    found = measure(
        system, optimizer, starts=starts, steps=steps, every=every, seed=seed
    )
    updates = None
    if cell["optimizer"] in ("adam", *LEARNED):
        updates = measure_updates(
            system,
            optimizer,
            minimum,
            steps=steps,
            seed=seed,
            window=min(WINDOW, steps),
        )
    return {**found, "updates": updates, "window": min(WINDOW, steps)}


def _name_file(folder: Path, optimizer: str) -> Path:
    return folder / f"trajectories-{optimizer}.json"


def make_key(cell: Cell) -> dict[str, Any]:
    """What stored trajectories must agree in to be used for a cell."""
    return {**cell["key"], "followed": FOLLOWED, "every": EVERY, "window": WINDOW}


def _read(folder: Path, optimizer: str) -> dict[str, Any] | None:
    """Read the trajectories of an optimizer; `None` if there are none, or damaged."""
    try:
        found = json.loads(_name_file(folder, optimizer).read_text())
    except (OSError, ValueError):
        return None
    is_whole = isinstance(found, dict) and found.keys() >= ENTRIES
    return found if is_whole else None


def _find_lucky(cells: Sequence[Cell]) -> np.ndarray | None:
    """Which starts Adam brings to the minimum; `None` without a cell of Adam."""
    adam = [cell for cell in cells if cell["optimizer"] == "adam"]
    return np.asarray(adam[0]["first_hit"]) > 0 if adam else None


def plot(found: dict[str, dict[str, Any]], cells: Sequence[Cell]) -> Figure:
    """Plot trajectories, an enlarged one, and updates at the minimum."""
    colours = choose_colours(found)
    figure = Figure(figsize=(1.0 + 2.4 * len(found), 8), layout="constrained")
    grid = figure.add_gridspec(3, len(found), height_ratios=(3, 2, 2.4))
    reference = cells[0]["reference"]
    shared: dict[int, Axes] = {}
    for column, (name, own) in enumerate(found.items()):
        for row in range(2):
            axes = figure.add_subplot(grid[row, column], sharey=shared.get(row))
            shared.setdefault(row, axes)
            axes.axhline(reference, color=GREY, linewidth=0.8, linestyle="--")
            if row == 0:
                axes.set_title(name, fontsize="medium", color=colours[name])
                lines = np.array(own["energies"])
                steps = own["every_drawn"] * np.arange(1, lines.shape[1] + 1)
                axes.plot(
                    steps, lines.T, color=colours[name], alpha=0.15, linewidth=0.6
                )
            else:
                axes.plot(own["enlarged"], color=colours[name], lw=THIN)
            axes.set_xlabel("evaluations")
            axes.spines[["top", "right"]].set_visible(False)
            if column:
                axes.tick_params(labelleft=False)
    shared[0].set_ylim(reference - 0.5, reference + 12)
    shared[1].set_ylim(reference - 0.5, reference + 12)
    shared[0].set_ylabel("energy")
    shared[1].set_ylabel(f"energy, first {ENLARGED:,}")
    axes = figure.add_subplot(grid[2, :])
    for name, own in found.items():
        if own["updates"] is not None:
            steps = own["window"] * np.arange(1, len(own["updates"]) + 1)
            sizes = np.array([np.nan if x is None else x for x in own["updates"]])
            axes.plot(steps, sizes, color=colours[name], label=name, lw=THIN)
    axes.set_yscale("symlog", linthresh=1e-4)
    axes.set_xlabel("step, with positions fixed at the minimum and zero gradient")
    axes.set_ylabel("size of the update")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=len(found), fontsize="small")
    return figure
