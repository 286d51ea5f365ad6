"""Fig. 7: lowest energies of bimetallic clusters of 38 atoms, and convex hulls."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from matplotlib.figure import Figure

from benchmarks.columns import Cell
from benchmarks.figure_file import choose_colours
from benchmarks.markdown import format_markdown
from benchmarks.paper.study import AbstractStudy, CellPlan, Training

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

# Numbers by optimizer, and by number of atoms of the second metal.
Energies = dict[str, dict[int, float]]


def name_system(first: str, second: str, number: int) -> str:
    """Name of the cluster with `number` atoms of the second metal.

    That of a pure one names both metals, too, which determine its parameters.
    """
    return f"Gupta-{first}{ATOMS - number}{second}{number}"


class Figure7(AbstractStudy):
    """Clusters of all compositions, of metals of the training and of others."""

    name: ClassVar[str] = "fig7"
    title: ClassVar[str] = "all compositions of Ag-Au and Pd-Pt, 38 atoms"
    claim: ClassVar[str] = (
        "optimizers trained on six compositions of Ag-Au, and on Ag-Au, Ag-Pt and "
        "Pd-Au, find lower energies than Adam, FIRE and basin hopping with as many "
        "steps, on Ag-Au and on Pd-Pt; basin hopping needs ten times more"
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
            own, name = select(cells, *pair), "-".join(pair)
            if own:
                parts += [f"{name}:", _format_pair(cells, pair)]
            usual = min((cell["steps"] for cell in cells), default=0)
            some = {number for number, cell in own if cell["steps"] > usual}
            if some and some != {number for number, _ in own}:
                few = [cell for number, cell in own if number in some]
                title = f"{name}, compositions with longer searches:"
                parts += [title, _format_pair(few, pair)]
        return "\n\n".join(parts)

    def plot(self, cells: Sequence[Cell], folder: Path) -> Figure:
        return plot(cells)


def _list_systems(pairs: Sequence[tuple[str, str]]) -> str:
    names = (name_system(*pair, number) for pair in pairs for number in TRAINED)
    return ",".join(dict.fromkeys(names))


def select(cells: Sequence[Cell], first: str, second: str) -> list[tuple[int, Cell]]:
    """The cells of clusters of two metals, with the number of atoms of the second."""
    numbers = {name_system(first, second, k): k for k in range(ATOMS + 1)}
    return [(numbers[x["system"]], x) for x in cells if x["system"] in numbers]


def collect(cells: Sequence[Cell], first: str, second: str, column: str) -> Energies:
    """A column of the clusters of two metals, without cells that lack it."""
    found: Energies = {}
    usual = min((cell["steps"] for cell in cells), default=0)
    for number, cell in select(cells, first, second):
        long = f" x {cell['steps']:,}" if cell["steps"] > usual else ""
        if cell[column] is not None:
            own = found.setdefault(f"{cell['optimizer']}{long}", {})
            own[number] = cell[column]
    return found


def find_lowest(cells: Sequence[Cell], first: str, second: str) -> dict[int, float]:
    """The lowest energy that is known of each composition, or that was found here."""
    lowest: dict[int, float] = {}
    for number, cell in select(cells, first, second):
        found = (cell["min"], cell["final_min"], lowest.get(number))
        lowest[number] = min(cell["reference"], *(x for x in found if x is not None))
    return lowest


def subtract_ends(
    energies: dict[int, float], ends: dict[int, float]
) -> dict[int, float]:
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


def find_hull(energies: dict[int, float]) -> list[int]:
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


def _format_pair(cells: Sequence[Cell], pair: tuple[str, str]) -> str:
    """Format how far each optimizer is above the lowest known energies."""
    best, last, starts, hits = (
        collect(cells, *pair, column)
        for column in ("min", "final_min", "starts", "hits")
    )
    lowest = find_lowest(cells, *pair)
    head = ["optimizer", "compositions", "lowest found", "mean gap, eV"]
    head += ["largest gap, eV", "lowest found, final", "mean gap, final, eV"]
    head += ["hits", "starts"]
    rows = []
    for name, own in best.items():
        gaps, final_gaps = (
            np.array([energies[number] - lowest[number] for number in energies])
            for energies in (own, last[name])
        )
        rows.append(
            [
                f"`{name}`",
                str(len(own)),
                str(int(np.sum(gaps < SAME))),
                f"{gaps.mean():.3f}",
                f"{gaps.max():.3f}",
                str(int(np.sum(final_gaps < SAME))),
                f"{final_gaps.mean():.3f}",
                str(sum(hits[name].values())),
                str(sum(starts[name].values())),
            ]
        )
    return format_markdown(head, rows, right=True)


def plot(cells: Sequence[Cell]) -> Figure:
    """Plot energies of formation against composition, and what is above the lowest.

    The hull is that of the lowest known energies.
    """
    pairs = [pair for pair in PAIRS if collect(cells, *pair, "min")]
    figure = Figure(figsize=(10, 4.2 * len(pairs)), layout="constrained")
    panels = figure.subplots(len(pairs), 2, sharex=True, squeeze=False)
    colours = choose_colours(cell["optimizer"] for cell in cells)
    for (formation, above), pair in zip(panels, pairs, strict=True):
        found = collect(cells, *pair, "min")
        lowest = find_lowest(cells, *pair)
        has_ends = {0, ATOMS} <= lowest.keys()
        for name, own in found.items():
            optimizer, _, long = name.partition(" ")
            gaps = {number: energy - lowest[number] for number, energy in own.items()}
            shown = [(above, gaps)]
            if has_ends:
                shown.append((formation, subtract_ends(own, lowest)))
            for axes, energies in shown:
                axes.plot(
                    *zip(*sorted(energies.items()), strict=True),
                    color=colours[optimizer],
                    label=name,
                    marker="s" if long else "o",
                    markersize=4 if long else 2.5,
                    linewidth=0 if long else 1.2,
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
