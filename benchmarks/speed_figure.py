"""Plot the cost of an evaluation against the number of atoms and of replicas.

python benchmarks/speed_figure.py sizes.json batches.json OUT.png
"""

from __future__ import annotations

import os
import sys

if not __package__:  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == "__main__":
    from benchmarks import start as start

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.timing.files import read_rows
from hopgym._cli.arguments import Parser
from hopgym._cli.process import run as run_command
from hopgym.evaluation.figure_file import save_figure

STYLES = {"native": "o-", "xla": "s--", "jax-md": "^:", "pele": "v-."}


def select_rows(path: Path) -> list[dict]:
    """Read the rows of a file, except those of the second run of the base."""
    return [row for row in read_rows(path) if not row["contender"].endswith("again")]


def draw(by_size: list[dict], by_batch: list[dict]) -> Figure:
    """Draw both panels."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    sizes: dict[str, list] = defaultdict(list)
    for row in by_size:
        atoms = int(row["system"].partition("-")[2])
        sizes[row["contender"]].append((atoms, row["ns_per_replica"]))
    for contender, points in sizes.items():
        left.loglog(
            *zip(*sorted(points), strict=True), STYLES[contender], label=contender
        )
    batch = by_size[0]["batch"]
    left.set(
        xlabel="atoms",
        ylabel="ns per replica",
        title=f"Lennard-Jones clusters, {batch} replicas",
    )
    atoms = sorted({size for points in sizes.values() for size, _ in points})
    left.set_xticks(atoms, [str(size) for size in atoms], minor=False)
    left.set_xticks([], minor=True)
    batches: dict[tuple[str, str], list] = defaultdict(list)
    for row in by_batch:
        cell = row["system"], row["contender"]
        batches[cell].append((row["batch"], row["ns_per_replica"]))
    systems = list(dict.fromkeys(system for system, _ in batches))
    for (system, contender), points in batches.items():
        colour = f"C{systems.index(system)}"
        line = zip(*sorted(points), strict=True)
        right.loglog(
            *line, STYLES[contender], color=colour, label=f"{system} {contender}"
        )
    right.set(xlabel="replicas in a batch", title="energy and gradient, one core")
    lowest, highest = right.get_ylim()
    right.set_ylim(lowest / 4, highest)  # the legend is below
    for axes in (left, right):
        axes.legend(fontsize="small")
        axes.grid(alpha=0.3, which="both")
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the figure, and return the exit code: 0, or 2 for an unreadable file."""
    parser = Parser(prog="speed_figure.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sizes", type=Path, metavar="BY-SIZE.json")
    parser.add_argument("batches", type=Path, metavar="BY-BATCH.json")
    parser.add_argument("out", type=Path, metavar="OUT.png")
    options = parser.parse_args(arguments)
    try:
        figure = draw(select_rows(options.sizes), select_rows(options.batches))
    except (OSError, ValueError, KeyError) as error:
        parser.error(str(error))
    try:
        save_figure(options.out, figure)
    except OSError as error:
        parser.fail(error)
    print(f"{options.out} written")
    return 0


if __name__ == "__main__":
    run_command(main)
