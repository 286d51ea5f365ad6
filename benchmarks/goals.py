"""What the kernels were meant to reach, and what was measured: tables in Markdown.

python benchmarks/goals.py
"""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path

SPEED = Path(__file__).resolve().parent / "results" / "speed" / "2026-11-26-zen5"


@dataclass(frozen=True)
class Goal:
    """A ratio between two contenders, and where it was measured."""

    what: str
    folder: str
    system: str
    ours: str
    theirs: str
    bar: float
    target: float


GOALS = (
    Goal("energy, kernel", "energy", "LJ-13", "native", "jax-md", 80, 120),
    Goal("energy, kernel", "energy", "LJ-38", "native", "jax-md", 55, 80),
    Goal("energy, kernel", "energy", "LJ-75", "native", "jax-md", 55, 67),
    Goal("energy, kernel", "energy", "Gupta-Au55", "native", "jax-md", 20, 29),
    Goal("energy, kernel", "energy", "SW-Si64", "native", "jax-md", 300, 580),
    Goal("energy, kernel, float64", "energy-float64", "LJ-75", "native", "pele", 6, 8),
    Goal("energy, JAX", "energy", "LJ-75", "xla", "jax-md", 15, 18),
    Goal("energy, JAX", "energy", "Gupta-Au55", "xla", "jax-md", 2.8, 4),
    Goal("energy, JAX", "energy", "SW-Si64", "xla", "jax-md", 60, 80),
    Goal("learned step, kernel", "learned-step", "LJ-13", "native", "naive", 9, 11),
    Goal("learned step, kernel", "learned-step", "LJ-38", "native", "naive", 12, 14),
    Goal("learned step, kernel", "learned-step", "LJ-75", "native", "naive", 18, 23),
    Goal("learned step, JAX", "learned-step", "LJ-13", "xla", "naive", 1.5, 1.7),
    Goal("learned step, JAX", "learned-step", "LJ-38", "xla", "naive", 2.5, 2.9),
    Goal("learned step, JAX", "learned-step", "LJ-75", "xla", "naive", 5, 6),
    Goal("two cores", "cores", "LJ-13", "2 cores", "one core", 1.8, 1.95),
    Goal("two cores", "cores", "LJ-75", "2 cores", "one core", 1.8, 1.95),
)


def rows(folder: str) -> list[dict]:
    """The rows of one file of results."""
    return json.loads((SPEED / folder / "speed.json").read_text())["rows"]


def measured(goal: Goal) -> tuple[float, float, float] | None:
    """Nanoseconds of ours and theirs, and the ratio as formed within rounds.

    `None` if not measured.
    """
    found = {
        row["contender"]: row
        for row in rows(goal.folder)
        if row["system"] == goal.system
    }
    if not {goal.ours, goal.theirs} <= found.keys():
        return None
    ours, theirs = found[goal.ours], found[goal.theirs]
    ratio = ours["ratio"] / theirs["ratio"]  # both are against the base
    return ours["ns_per_replica"], theirs["ns_per_replica"], ratio


def verdict(goal: Goal, ratio: float) -> str:
    """Whether the bar and the target are reached."""
    if ratio >= goal.target:
        return "target"
    return "bar" if ratio >= goal.bar else "missed"


def table() -> str:
    """All goals."""
    lines = [
        "| what | system | ns | against | ns | ratio | bar | target | reached |",
        "|---" * 9 + "|",
    ]
    for goal in GOALS:
        found = measured(goal)
        start = f"| {goal.what} | {goal.system} |"
        end = f"{goal.bar:g} | {goal.target:g} |"
        if found is None:
            lines.append(f"{start} | {goal.theirs} | | | {end} not measured |")
            continue
        ours, theirs, ratio = found
        lines.append(
            f"{start} {ours:,.0f} | {goal.theirs} | {theirs:,.0f} | {ratio:.1f} "
            f"| {end} {verdict(goal, ratio)} |"
        )
    return "\n".join(lines)


def _seconds(row: dict) -> str:
    """Of a search, until it finds the minimum."""
    if row["hits"]:
        return f"{row['cpu_seconds_per_hit']:.2g} s ({row['hits']}/{row['starts']})"
    return f"none in {row['cpu_seconds']:.1f} s (0/{row['starts']})"


def searches() -> str:
    """CPU time of searches for each hit."""
    found = json.loads((SPEED / "search" / "search.json").read_text())["rows"]
    systems = list(dict.fromkeys(row["system"] for row in found))
    lines = [f"| search | {' | '.join(systems)} |", "|---" * (len(systems) + 1) + "|"]
    for name in dict.fromkeys(row["contender"] for row in found):
        times = [_seconds(row) for row in found if row["contender"] == name]
        lines.append(f"| `{name}` | {' | '.join(times)} |")
    return "\n".join(lines)


def update() -> float:
    """Seconds of a meta-update: 240 unrolls of 10,000 steps of LJ-13, two cores."""
    lines = (SPEED / "meta-update" / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    # The first ones are slowed down by compilation.
    return statistics.median(row["seconds"] for row in rows if row["update"] > 3)


if __name__ == "__main__":
    print(f"{table()}\n\n{searches()}\n\nmeta-update: {update():.2f} s")
