"""Figure of a sweep: which sizes are found, and after how many evaluations."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hopgym.evaluation.columns import Cell
from hopgym.evaluation.figure_file import Colour, choose_colours

FAINTEST = 0.25  # share of its colour that a size with a single hit gets
MISS = "0.35"
MARKERS = "os^Dv"


def get_size(cell: Cell) -> int:
    """Number of atoms of a Lennard-Jones cluster, from its name."""
    return int(cell["system"].partition("-")[2])


def draw(cells: Sequence[Cell]) -> Figure:
    """Draw the share of starts that hit, and evaluations per hit, against the size.

    The cells have one number of starts and steps. The upper panel has a row for each
    optimizer: the more of its starts hit, the stronger the colour, and a cross is a
    size that no start found. The lower panel has a dot for each size that was found.
    """
    names = list(dict.fromkeys(cell["optimizer"] for cell in cells))
    colours = choose_colours(names)
    strip = 0.28 * len(names) + 0.1
    figure = Figure(figsize=(10, 4.2 + strip), layout="constrained")
    rows, dots = figure.subplots(2, 1, sharex=True, height_ratios=(strip, 3.4))
    _plot_rates(rows, cells, colours)
    for (name, colour), marker in zip(
        colours.items(), itertools.cycle(MARKERS), strict=False
    ):
        found = [cell for cell in cells if cell["optimizer"] == name and cell["hits"]]
        dots.plot(
            [get_size(cell) for cell in found],
            [cell["evaluations_to_hit"] for cell in found],
            marker=marker,
            linestyle="",
            color=colour,
            markersize=4,
            alpha=0.8,
        )
    steps, starts = cells[0]["steps"], cells[0]["starts"]
    dots.axhline(steps, color=MISS, linewidth=1, linestyle="--")
    dots.set_yscale("log")
    dots.set_ylabel("evaluations per hit")
    dots.set_xlabel("atoms; dashed: evaluations per start")
    dots.grid(alpha=0.3)
    figure.suptitle(
        f"Lennard-Jones clusters, {starts} starts x {steps:,} steps; "
        "colour: share of starts that hit, cross: none",
        fontsize="medium",
    )
    sizes = [get_size(cell) for cell in cells]
    dots.set_xlim(min(sizes) - 1, max(sizes) + 1)
    for axes in (rows, dots):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _plot_rates(axes: Axes, cells: Sequence[Cell], colours: dict[str, Colour]) -> None:
    """Plot a row of bars per optimizer, the first one at the top."""
    names = list(colours)
    for row, name in enumerate(names):
        own = [cell for cell in cells if cell["optimizer"] == name]
        found = [cell for cell in own if cell["hits"]]
        shares = [cell["hits"] / cell["starts"] for cell in found]
        axes.bar(
            [get_size(cell) for cell in found],
            0.8,
            width=0.9,
            bottom=row - 0.4,
            color=[
                (*colours[name], FAINTEST + (1 - FAINTEST) * share) for share in shares
            ],
        )
        missed = [get_size(cell) for cell in own if not cell["hits"]]
        axes.plot(missed, [row] * len(missed), "x", color=MISS, markersize=4)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), names)
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        label.set_color(colours[name])
    axes.tick_params(left=False, bottom=False, labelbottom=False)
    axes.spines[["left", "bottom"]].set_visible(False)
