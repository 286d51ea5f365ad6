"""Cost of an evaluation against the number of atoms and of replicas: a figure.

python benchmarks/speed_figure.py BY-SIZE/speed.json BY-BATCH/speed.json OUT.png
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

from matplotlib.figure import Figure

STYLES = {"native": "o-", "xla": "s--", "jax-md": "^:", "pele": "v-."}


def rows(path: Path) -> list[dict]:
    """Rows of a file, without the base's second run."""
    found = json.loads(path.read_text())["rows"]
    return [row for row in found if not row["contender"].endswith("again")]


def draw(by_size: list[dict], by_batch: list[dict]) -> Figure:
    """Both panels."""
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


def main(arguments: list[str]) -> int:
    """Draw; the exit code."""
    if len(arguments) != 3:
        print(
            "usage: speed_figure.py BY-SIZE.json BY-BATCH.json OUT.png", file=sys.stderr
        )
        return 2
    by_size, by_batch, out = map(Path, arguments)
    try:
        figure = draw(rows(by_size), rows(by_batch))
    except (OSError, ValueError, KeyError) as error:
        print(f"speed_figure.py: {error}", file=sys.stderr)
        return 2
    figure.savefig(out, dpi=150)
    print(f"{out} written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
