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

# Energies by optimizer, and by number of atoms of the second metal.
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
        tables = []
        for pair in PAIRS:
            found = collect(cells, *pair, "min")
            if found:
                title = f"{'-'.join(pair)}, by the quenched best structures:"
                tables.append(f"{title}\n\n{_format_pair(found)}")
                found = collect(cells, *pair, "final_min")
                title = f"{'-'.join(pair)}, by the polished last structures:"
                tables.append(f"{title}\n\n{_format_pair(found)}")
        return "\n\n".join(tables)

    def plot(self, cells: Sequence[Cell], folder: Path) -> Figure:
        return plot(cells)


def _list_systems(pairs: Sequence[tuple[str, str]]) -> str:
    names = (name_system(*pair, number) for pair in pairs for number in TRAINED)
    return ",".join(dict.fromkeys(names))


def collect(cells: Sequence[Cell], first: str, second: str, column: str) -> Energies:
    """Lowest energies on the clusters of two metals."""
    numbers = {name_system(first, second, k): k for k in range(ATOMS + 1)}
    found: Energies = {}
    usual = min((cell["steps"] for cell in cells), default=0)
    for cell in cells:
        if cell["system"] in numbers:
            long = f" x {cell['steps']:,}" if cell["steps"] > usual else ""
            own = found.setdefault(f"{cell['optimizer']}{long}", {})
            own[numbers[cell["system"]]] = cell[column]
    return found


def find_lowest(found: Energies) -> dict[int, float]:
    """The lowest energy of each composition that any optimizer has found."""
    numbers = sorted({number for own in found.values() for number in own})
    return {
        number: min(own[number] for own in found.values() if number in own)
        for number in numbers
    }


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


def _format_pair(found: Energies) -> str:
    """Format how far each optimizer is above the lowest energies of all."""
    lowest = find_lowest(found)
    head = ["optimizer", "compositions", "lowest of all", "mean above it, eV"]
    head += ["largest, eV"]
    rows = []
    for name, own in found.items():
        gaps = np.array([own[number] - lowest[number] for number in own])
        rows.append(
            [
                f"`{name}`",
                str(len(own)),
                str(int(np.sum(gaps < SAME))),
                f"{gaps.mean():.3f}",
                f"{gaps.max():.3f}",
            ]
        )
    return format_markdown(head, rows, right=True)


def plot(cells: Sequence[Cell]) -> Figure:
    """Plot energies of formation against composition, and what is above the lowest.

    The hull is that of the lowest energies of all optimizers.
    """
    pairs = [pair for pair in PAIRS if collect(cells, *pair, "min")]
    figure = Figure(figsize=(10, 4.2 * len(pairs)), layout="constrained")
    panels = figure.subplots(len(pairs), 2, sharex=True, squeeze=False)
    colours = choose_colours(cell["optimizer"] for cell in cells)
    for (formation, above), pair in zip(panels, pairs, strict=True):
        found = collect(cells, *pair, "min")
        lowest = find_lowest(found)
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
            hull = subtract_ends({k: lowest[k] for k in find_hull(lowest)}, lowest)
            formation.plot(*zip(*hull.items(), strict=True), "--", color=GREY, lw=1)
        for axes in (formation, above):
            axes.set_title("-".join(pair), fontsize="medium")
            axes.set_xlabel(f"atoms of {pair[1]} of {ATOMS}")
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
        formation.set_ylabel("energy of formation, eV; dashed: convex hull")
        above.set_ylabel("eV above the lowest of all")
    lines, labels = panels[0, 1].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure
