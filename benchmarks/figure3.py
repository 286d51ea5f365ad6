"""Fig. 3 of the paper: meta-training by several strategies, from the runs' metrics.

python benchmarks/figure3.py [RUNS]

RUNS has a folder STRATEGY-SEED for each run, with the metrics.jsonl that
hopgym.meta.train wrote; figure.png and summary.json are written to RUNS.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == "__main__":
    from benchmarks import start as start

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.figure_file import save_figure
from hopgym._atomic_write import atomic_write
from hopgym._cli.arguments import Parser
from hopgym._cli.process import run as run_command

DEFAULT_RUNS = Path(__file__).parent / "results" / "fig3"
LABELS = {
    "es": "ES, losses bounded",
    "es-unbounded": "ES, losses unbounded",
    "esmc": "ESMC",
    "ga": "GA",
}

# By strategy, seed and update.
Runs = dict[str, dict[int, dict[int, dict[str, Any]]]]


def read_runs(folder: Path) -> Runs:
    """Read the evaluations on held-out starts, by strategy, seed and update.

    **Raises:** `ValueError` if there are none, or a file is damaged.
    """
    found: Runs = {}
    for path in sorted(folder.glob("*-*/metrics.jsonl")):
        name, _, seed = path.parent.name.rpartition("-")
        if name not in LABELS or not seed.isdecimal():
            continue
        try:
            lines = [json.loads(line) for line in path.read_text().splitlines()]
        except ValueError:
            raise ValueError(f"{path} is damaged") from None
        found.setdefault(name, {})[int(seed)] = {
            line["update"]: next(iter(line["evaluation"].values()))
            for line in lines
            if "evaluation" in line
        }
    if not found:
        raise ValueError(
            f"{folder} has no runs, that is, folders such as esmc-0 with metrics.jsonl"
        )
    return {name: found[name] for name in LABELS if name in found}


def summarise(runs: Runs) -> dict[str, Any]:
    """Summarise the results of each strategy: means over seeds, and hits by seed."""
    table = {}
    for name, seeds in runs.items():
        last = {seed: course[max(course)] for seed, course in seeds.items()}
        lowest = {
            seed: min(cell["final_loss"] for cell in course.values())
            for seed, course in seeds.items()
        }
        ends = [cell["final_loss"] for cell in last.values()]
        table[name] = {
            "seeds": len(seeds),
            "updates": min(max(course) for course in seeds.values()),
            "final_loss": round(statistics.mean(ends), 4),
            "spread": round(statistics.stdev(ends), 4) if len(ends) > 1 else None,
            "lowest_loss": round(statistics.mean(lowest.values()), 4),
            "hits": {seed: cell["hits"] for seed, cell in last.items()},
            "most_hits": {
                seed: max(cell["hits"] for cell in course.values())
                for seed, course in seeds.items()
            },
            "starts": next(iter(last.values()))["starts"],
        }
    return table


def draw(path: Path, runs: Runs) -> None:
    """Plot mean and range over seeds of the meta-loss and of the hit rate."""
    figure = Figure(figsize=(7, 6), layout="constrained")
    losses, rates = figure.subplots(2, 1, sharex=True)
    for name, seeds in runs.items():
        updates = sorted(set.intersection(*(set(course) for course in seeds.values())))
        style = ":" if name == "es-unbounded" else "-"
        for axes, what in ((losses, "final_loss"), (rates, "hit_rate")):
            table = [
                [course[update][what] for course in seeds.values()]
                for update in updates
            ]
            means = [statistics.mean(row) for row in table]
            label = f"{LABELS[name]} ({len(seeds)} seeds)"
            (line,) = axes.plot(updates, means, style, label=label)
            low, high = [min(row) for row in table], [max(row) for row in table]
            axes.fill_between(
                updates, low, high, color=line.get_color(), alpha=0.15, linewidth=0
            )
    losses.set_ylabel("meta-loss, held-out starts")
    rates.set_ylabel("hit rate")
    rates.set_ylim(-0.02, 1.02)
    rates.set_xlabel("meta-updates")
    losses.legend(fontsize="small")
    save_figure(path, figure, dpi=120)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the figure, and return the exit code: 0, or 2 if there are no runs."""
    parser = Parser(prog="figure3.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "runs", type=Path, nargs="?", default=DEFAULT_RUNS, metavar="RUNS"
    )
    folder = parser.parse_args(arguments).runs
    try:
        runs = read_runs(folder)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    table = summarise(runs)
    draw(folder / "figure.png", runs)
    atomic_write(folder / "summary.json", json.dumps(table, indent=1) + "\n")
    for name, row in table.items():
        print(
            f"{LABELS[name]:22} {row['seeds']} seeds, {row['updates']} updates: final "
            f"loss {row['final_loss']:.4f}, lowest {row['lowest_loss']:.4f}"
        )
    return 0


if __name__ == "__main__":
    run_command(main)
