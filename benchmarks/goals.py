"""The README's tables of speed, from the committed results.

python benchmarks/goals.py
"""

from __future__ import annotations

import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

if not __package__:  # run as a file
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.timing.files import read_rows

RESULTS = Path(__file__).resolve().parent / "results" / "speed" / "current"


@dataclass(frozen=True)
class Goal:
    """A ratio between two contenders, and where it was measured."""

    what: str
    file: str
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


def look_up(goal: Goal) -> tuple[float, float, float] | None:
    """Nanoseconds of ours and theirs, and the ratio as formed within rounds.

    `None` if not measured.
    """
    found = {
        row["contender"]: row
        for row in read_rows(RESULTS / f"{goal.file}.json")
        if row["system"] == goal.system
    }
    if not {goal.ours, goal.theirs} <= found.keys():
        return None
    ours, theirs = found[goal.ours], found[goal.theirs]
    ratio = ours["ratio"] / theirs["ratio"]  # both are against the base
    return ours["ns_per_replica"], theirs["ns_per_replica"], ratio


def judge(goal: Goal, ratio: float) -> str:
    """Whether the bar and the target are reached."""
    if ratio >= goal.target:
        return "target"
    return "bar" if ratio >= goal.bar else "missed"


def format_goals() -> str:
    """All goals."""
    lines = [
        "| what | system | ns | against | ns | ratio | bar | target | reached |",
        "|---" * 9 + "|",
    ]
    for goal in GOALS:
        found = look_up(goal)
        start = f"| {goal.what} | {goal.system} |"
        end = f"{goal.bar:g} | {goal.target:g} |"
        if found is None:
            lines.append(f"{start} | {goal.theirs} | | | {end} not measured |")
            continue
        ours, theirs, ratio = found
        lines.append(
            f"{start} {ours:,.0f} | {goal.theirs} | {theirs:,.0f} | {ratio:.1f} "
            f"| {end} {judge(goal, ratio)} |"
        )
    return "\n".join(lines)


def _format_seconds(row: dict) -> str:
    if row["hits"]:
        return f"{row['cpu_seconds_per_hit']:.2g} s ({row['hits']}/{row['starts']})"
    return f"none in {row['cpu_seconds']:.1f} s (0/{row['starts']})"


def format_searches() -> str:
    """CPU time of searches for each hit."""
    found = read_rows(RESULTS / "search.json")
    systems = list(dict.fromkeys(row["system"] for row in found))
    lines = [f"| search | {' | '.join(systems)} |", "|---" * (len(systems) + 1) + "|"]
    for name in dict.fromkeys(row["contender"] for row in found):
        times = [_format_seconds(row) for row in found if row["contender"] == name]
        lines.append(f"| `{name}` | {' | '.join(times)} |")
    return "\n".join(lines)


def measure_update() -> float:
    """Median seconds of a meta-update on two cores: 240 unrolls of 10,000 steps."""
    lines = (RESULTS / "meta-update.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    # The first ones are slowed down by compilation.
    return statistics.median(row["seconds"] for row in rows if row["update"] > 3)


def main() -> int:
    """Print all tables; the exit code."""
    print(f"{format_goals()}\n\n{format_searches()}\n")
    print(f"meta-update: {measure_update():.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
