"""Figures: distribution of the minima (the paper's Fig. 5), and energy curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.store import format_file_name
from hopgym.evaluation.columns import Cell
from hopgym.evaluation.figure_file import choose_colours, save_figure
from hopgym.evaluation.report import SETTINGS, TARGET, Group, group_cells

BINS = 40
GREY = "0.35"


def draw(cells: list[Cell], folder: Path) -> list[Path]:
    """Write two figures for each group of cells (`report.group_cells`) into `folder`.

    Cells without the data of a figure are left out.
    """
    groups = group_cells(cells)
    written = []
    for shared, members in groups:
        name = _name_group(shared, [other for other, _ in groups])
        for kind, column, plot in (
            ("minima", "energies", _plot_minima),
            ("curves", "curve", _plot_curves),
        ):
            complete = [cell for cell in members if cell.get(column)]
            if complete:
                path = folder / f"{kind}-{format_file_name(name)}.png"
                save_figure(path, plot((shared, complete)))
                written.append(path)
    return written


def _name_group(shared: dict[str, Any], groups: list[dict[str, Any]]) -> str:
    """Name a group by its system and, if others have it too, by what they differ in."""
    name = shared["system"]
    alike = [other for other in groups if other["system"] == name]
    if len(alike) > 1:
        name += f"-{shared['starts']}x{shared['steps']}-seed{shared['seed']}"
        name += f"-{shared['dtype']}-protocol{shared['protocol']}"
    if sum(all(other[k] == shared[k] for k in SETTINGS) for other in alike) > 1:
        name += "".join(f"-{column}{shared[column]}" for column in TARGET)
    return name


def _format_title(shared: dict[str, Any]) -> str:
    return f"{shared['system']}, {shared['starts']} starts x {shared['steps']:,} steps"


def _plot_minima(group: Group) -> Figure:
    """Plot one histogram per optimizer, stacked with a common axis."""
    shared, members = group
    energies = [
        np.asarray([e for e in cell["energies"] if e is not None], float)
        for cell in members
    ]
    reference = members[0].get("reference")
    low, high = _choose_span(np.concatenate(energies), reference)
    edges = np.linspace(low, high, BINS + 1)

    figure = Figure(figsize=(7, 1.2 + 0.55 * len(members)), layout="constrained")
    axes = figure.subplots(len(members), 1, sharex=True, squeeze=False)[:, 0]
    colours = choose_colours(cell["optimizer"] for cell in members)
    for axis, cell, values in zip(axes, members, energies, strict=True):
        colour = colours[cell["optimizer"]]
        axis.hist(np.minimum(values, high), bins=edges, color=colour)
        if reference is not None:
            axis.axvline(reference, color=GREY, linewidth=1, linestyle="--")
        axis.set_ylabel(
            cell["optimizer"], rotation=0, ha="right", va="center", color=colour
        )
        axis.set_yticks([])
        axis.spines[["top", "right", "left"]].set_visible(False)
    figure.suptitle(_format_title(shared), fontsize="medium")
    note = "" if reference is None else ", dashed: lowest known"
    axes[-1].set_xlabel(f"energy of the quenched best structure{note}")
    return figure


def _choose_span(energies: np.ndarray, reference: float | None) -> tuple[float, float]:
    """Choose the range of the histograms; the last bin includes the highest 2%."""
    low = float(energies.min(initial=np.inf if reference is None else reference))
    high = float(np.quantile(energies, 0.98)) if len(energies) else low
    margin = max(0.03 * (high - low), 1e-3 * max(abs(low), 1))
    return low - margin, high + margin


def _plot_curves(group: Group) -> Figure:
    """Plot the mean best energy so far against evaluations."""
    shared, members = group
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axis = figure.subplots()
    reference = members[0].get("reference")
    curves = [
        np.array([(p["evaluations"], p["mean"]) for p in cell["curve"]], float)
        for cell in members
    ]
    ends = [curve[-1, 1] for curve in curves]
    if reference is not None:
        axis.axhline(reference, color=GREY, linewidth=1, linestyle="--")
    floor = np.nanmin([*ends, np.nan if reference is None else reference])
    # With the initial descent in view, differences would not be visible.
    span = max(2.5 * (np.nanmedian(ends) - floor), 0.02 * abs(floor))
    axis.set_ylim(floor - 0.05 * span, floor + span)
    colours = choose_colours(cell["optimizer"] for cell in members)
    for cell, curve in zip(members, curves, strict=True):
        above = "" if curve[-1, 1] <= floor + span else " (above)"
        colour = colours[cell["optimizer"]]
        axis.plot(*curve.T, color=colour, label=f"{cell['optimizer']}{above}")
    axis.set_xscale("log")
    axis.yaxis.set_major_locator(MaxNLocator(6))
    axis.set_xlabel("evaluations per start")
    axis.set_ylabel("mean best energy, before the quench")
    axis.set_title(_format_title(shared), fontsize="medium")
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False, fontsize="small")
    return figure
