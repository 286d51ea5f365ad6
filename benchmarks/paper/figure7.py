"""Fig. 7: lowest energies of bimetallic clusters of 38 atoms, and convex hulls."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from matplotlib.figure import Figure

from benchmarks.paper.study import AbstractStudy, CellPlan, Training
from hopgym.evaluation.columns import Cell
from hopgym.evaluation.figure_file import choose_colours
from hopgym.evaluation.markdown import format_markdown

ATOMS = 38
PAIRS = (("Ag", "Au"), ("Pd", "Pt"))
TRAINED = (3, 7, 15, 22, 30, 38)  # numbers of the second metal in the training
TRAINED_PAIRS = (("Ag", "Au"), ("Ag", "Pt"), ("Pd", "Au"))
LONG = (2, 5, 9, 13, 17, 21, 25, 29, 33, 36)  # where basin hopping gets ten times more
FEW = (0, 19, 38)
AGAU, THREE = "agau-esmc", "three-pairs-esmc"
OPTIMIZERS = ("adam", "fire", "bh-paper", AGAU, THREE, "bh-lbfgs", "bh-symmetric")
UPDATES, UNROLL = 150, 2000
SAME = 1e-3  # eV by which an energy may be above the lowest one
GREY = "0.35"

LONGER = " x "  # between an optimizer and its number of evaluations

Energies = dict[int, float]  # by number of atoms of the second metal
Runs = dict[str, dict[int, Cell]]  # by optimizer, and by the same number


def name_system(first: str, second: str, number: int) -> str:
    """Name of the cluster with `number` atoms of the second metal.

    That of a pure one names both metals, too, which determine its parameters.
    """
    return f"Gupta-{first}{ATOMS - number}{second}{number}"


class Figure7(AbstractStudy):
    """Clusters of all compositions, of metals of the training and of others."""

    name: ClassVar[str] = "fig7"
    title: ClassVar[str] = "Fig. 7: compositions and metals that the training lacked"
    claim: ClassVar[str] = (
        "optimizers trained on six compositions of Ag-Au, and on Ag-Au, Ag-Pt and "
        "Pd-Au, find lower energies than Adam, FIRE and basin hopping with as many "
        "steps, on Ag-Au and on Pd-Pt; basin hopping needs ten times more to compete"
    )
    finding: ClassVar[str] = (
        "holds for the best structures, and ten times more steps of this basin hopping "
        "are not enough; basin hopping with L-BFGS is closer to the lowest energies"
    )
    budget: ClassVar[tuple[int, int]] = (50, 50_000)
    quick_budget: ClassVar[tuple[int, int]] = (10, 2000)

    def list_trainings(self) -> Sequence[Training]:
        common = ("--strategy", "esmc", "--loss", "best", "--unroll", str(UNROLL))
        return [
            Training(name, UPDATES, ("--systems", _list_systems(pairs), *common))
            for name, pairs in ((AGAU, PAIRS[:1]), (THREE, TRAINED_PAIRS))
        ]

    def list_cells(self, quick: bool) -> Sequence[CellPlan]:
        starts, steps = self.quick_budget if quick else self.budget
        plans = [
            CellPlan(name_system(*pair, number), optimizer, starts, steps)
            for pair in PAIRS
            for number in (FEW if quick else range(ATOMS + 1))
            for optimizer in OPTIMIZERS
        ]
        if not quick:
            plans += [
                CellPlan(name_system(*pair, number), "bh-paper", starts, 10 * steps)
                for pair in PAIRS
                for number in LONG
            ]
        return plans

    def format(self, cells: Sequence[Cell], folder: Path) -> str:
        parts = []
        for pair in PAIRS:
            runs, name = group(cells, *pair), "-".join(pair)
            lowest = find_lowest(runs)
            if runs:
                parts += [f"{name}:", _format_runs(runs, lowest)]
            longer = {n for run, own in runs.items() if LONGER in run for n in own}
            if longer and longer != lowest.keys():
                few = {run: _restrict(own, longer) for run, own in runs.items()}
                title = f"{name}, compositions with longer searches:"
                parts += [title, _format_runs(few, lowest)]
        return "\n\n".join(parts)

    def plot(self, cells: Sequence[Cell], folder: Path) -> Figure:
        return plot(cells)


def _list_systems(pairs: Sequence[tuple[str, str]]) -> str:
    names = (name_system(*pair, number) for pair in pairs for number in TRAINED)
    return ",".join(dict.fromkeys(names))


def group(cells: Sequence[Cell], first: str, second: str) -> Runs:
    """The cells of clusters of two metals, by optimizer and composition.

    Those with more evaluations than the others are runs of their own.
    """
    numbers = {name_system(first, second, k): k for k in range(ATOMS + 1)}
    usual = min((cell["steps"] for cell in cells), default=0)
    runs: Runs = {}
    for cell in cells:
        if cell["system"] in numbers:
            more = f"{LONGER}{cell['steps']:,}" if cell["steps"] > usual else ""
            own = runs.setdefault(f"{cell['optimizer']}{more}", {})
            own[numbers[cell["system"]]] = cell
    return runs


def find_lowest(runs: Runs) -> Energies:
    """The lowest energy that is known of each composition, or that was found here."""
    lowest: Energies = {}
    for own in runs.values():
        for number, cell in own.items():
            found = (cell["min"], cell["final_min"], lowest.get(number))
            known = (x for x in found if x is not None)
            lowest[number] = min(cell["reference"], *known)
    return lowest


def compute_gaps(own: dict[int, Cell], column: str, lowest: Energies) -> Energies:
    """Energies above the lowest, of the compositions that have the column."""
    return {
        number: cell[column] - lowest[number]
        for number, cell in own.items()
        if cell[column] is not None
    }


def _restrict(own: dict[int, Cell], numbers: set[int]) -> dict[int, Cell]:
    return {number: cell for number, cell in own.items() if number in numbers}


def subtract_ends(energies: Energies, ends: Energies) -> Energies:
    """Energies of formation from the pure clusters.

    **Arguments:**

    - `energies`: by number of atoms of the second metal.
    - `ends`: the same, with those of the pure clusters.
    """
    first, last = ends[0], ends[ATOMS]
    return {
        number: energy - first - (last - first) * number / ATOMS
        for number, energy in energies.items()
    }


def find_hull(energies: Energies) -> list[int]:
    """Numbers on the lower convex hull of energies."""
    hull: list[int] = []
    for number in sorted(energies):
        while len(hull) > 1:
            before, last = hull[-2:]
            slope = (energies[number] - energies[before]) / (number - before)
            if energies[last] < energies[before] + slope * (last - before):
                break
            hull.pop()
        hull.append(number)
    return hull


def _format_runs(runs: Runs, lowest: Energies) -> str:
    """Format how far each optimizer is above the lowest known energies."""
    head = ["optimizer", "compositions", "lowest found", "mean gap, eV"]
    head += ["largest gap, eV", "lowest found, final", "mean gap, final, eV"]
    head += ["hits", "starts"]
    rows = []
    for name, own in runs.items():
        gaps, final_gaps = (
            np.array([*compute_gaps(own, column, lowest).values()])
            for column in ("min", "final_min")
        )
        if len(own):
            rows.append(
                [
                    f"`{name}`",
                    str(len(gaps)),
                    str(np.sum(gaps < SAME)),
                    f"{gaps.mean():.3f}" if len(gaps) else "",
                    f"{gaps.max():.3f}" if len(gaps) else "",
                    str(np.sum(final_gaps < SAME)),
                    f"{final_gaps.mean():.3f}" if len(final_gaps) else "",
                    str(sum(cell["hits"] for cell in own.values())),
                    str(sum(cell["starts"] for cell in own.values())),
                ]
            )
    return format_markdown(head, rows, right=True)


def plot(cells: Sequence[Cell]) -> Figure:
    """Plot energies of formation against composition, and what is above the lowest.

    The hull is that of the lowest known energies.
    """
    pairs = [pair for pair in PAIRS if group(cells, *pair)]
    figure = Figure(figsize=(10, 4.2 * len(pairs)), layout="constrained")
    panels = figure.subplots(len(pairs), 2, sharex=True, squeeze=False)
    colours = choose_colours(cell["optimizer"] for cell in cells)
    for (formation, above), pair in zip(panels, pairs, strict=True):
        runs = group(cells, *pair)
        lowest = find_lowest(runs)
        has_ends = {0, ATOMS} <= lowest.keys()
        for name, own in runs.items():
            optimizer, longer, _ = name.partition(LONGER)
            gaps = compute_gaps(own, "min", lowest)
            shown = [(above, gaps)]
            if has_ends:
                energies = {
                    number: lowest[number] + gap for number, gap in gaps.items()
                }
                shown.append((formation, subtract_ends(energies, lowest)))
            for axes, energies in shown:
                numbers = sorted(energies)
                axes.plot(
                    numbers,
                    [energies[number] for number in numbers],
                    color=colours[optimizer],
                    label=name,
                    marker="s" if longer else "o",
                    markersize=4 if longer else 2.5,
                    linewidth=0 if longer else 1.2,
                )
        if has_ends:
            known = subtract_ends(lowest, lowest)
            hull = find_hull(known)
            options = {"color": GREY, "markersize": 3}
            formation.plot(*zip(*sorted(known.items()), strict=True), ".", **options)
            formation.plot(hull, [known[k] for k in hull], "--", color=GREY, lw=1)
        for axes in (formation, above):
            axes.set_title("-".join(pair), fontsize="medium")
            axes.set_xlabel(f"atoms of {pair[1]} of {ATOMS}")
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
        formation.set_ylabel(
            "energy of formation, eV\ngrey: lowest known, and their convex hull"
        )
        above.set_ylim(bottom=0)
        above.set_ylabel("eV above the lowest known")
    lines, labels = panels[0, 1].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure
