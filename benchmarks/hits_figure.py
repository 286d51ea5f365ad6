"""Figure: the share of starts that have hit, against evaluations, system by system.

python benchmarks/hits_figure.py benchmarks/results/yardstick hits.png
"""

from __future__ import annotations

import os
import sys

if not __package__:  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == "__main__":
    from benchmarks import start as start

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.store import read_sound_record
from hopgym._cli.arguments import Parser, parse_names
from hopgym._cli.lookup import check_names
from hopgym._cli.process import run as run_command
from hopgym.evaluation.columns import Cell
from hopgym.evaluation.figure_file import choose_colours, save_figure

COLUMNS = 4  # of panels
FIRST = 100  # evaluations at the left end


def draw(cells: Sequence[Cell]) -> Figure:
    """Draw a panel for each system with a known minimum, in the order of the cells.

    **Raises:** `ValueError` if there is none.
    """
    cells = [cell for cell in cells if cell["hits"] is not None]
    if not cells:
        raise ValueError("there is no system with a known minimum")
    names = list(dict.fromkeys(cell["optimizer"] for cell in cells))
    systems = list(dict.fromkeys(cell["system"] for cell in cells))
    colours = choose_colours(names)
    columns = min(COLUMNS, len(systems))
    rows = -(-len(systems) // columns)
    figure = Figure(figsize=(2.6 * columns + 1, 2.3 * rows + 1), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for system, axes in zip(systems, panels.flat, strict=False):
        for cell in (cell for cell in cells if cell["system"] == system):
            hits = np.sort([hit for hit in cell["first_hit"] if hit > 0])
            shares = np.arange(1, len(hits) + 1) / cell["starts"]
            axes.step(
                [FIRST, *np.maximum(hits, FIRST), cell["steps"]],
                [0, *shares, len(hits) / cell["starts"]],
                where="post",
                color=colours[cell["optimizer"]],
                linewidth=1.4,
            )
        axes.set_title(system, fontsize="medium")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels.flat[len(systems) :]:
        axes.set_axis_off()
    for axes in panels.flat[max(0, len(systems) - columns) : len(systems)]:
        axes.set_xlabel("evaluations")
        axes.tick_params(labelbottom=True)
    for axes in panels[:, 0]:
        axes.set_ylabel("share of starts")
    panels[0, 0].set_xscale("log")
    panels[0, 0].set_xlim(FIRST, max(cell["steps"] for cell in cells))
    panels[0, 0].set_ylim(0, 1.02)
    lines = [panels[0, 0].plot([], color=colours[name])[0] for name in names]
    figure.legend(lines, names, loc="outside lower center", ncols=5, frameon=False)
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, or 2 for invalid arguments."""
    parser = Parser(prog="hits_figure.py", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("folder", type=Path, help="folder with results.jsonl")
    add("path", type=Path, help="file of the figure; its suffix is the format")
    add("--optimizers", metavar="A,B", type=parse_names, default=[], help="these only")
    options = parser.parse_args(arguments)
    try:
        cells = read_sound_record(options.folder)
        names = [cell["optimizer"] for cell in cells]
        if options.optimizers:
            check_names("optimizer", options.optimizers, names)
        shown = options.optimizers or names
        save_figure(options.path, draw([c for c in cells if c["optimizer"] in shown]))
    except (KeyError, ValueError, OSError) as error:
        parser.fail(error)
    return 0


if __name__ == "__main__":
    run_command(main)
