"""The tables of speed in README and documentation, from the committed results.

python benchmarks/speed_summary.py
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.timing.files import read_rows
from hopgym._cli.process import run as run_command
from hopgym.evaluation.markdown import format_markdown

RESULTS = Path(__file__).resolve().parent / "results" / "speed" / "current"
Row = dict[str, Any]

NAMES = {
    "native": "C++ kernel",
    "xla": "JAX",
    "jax-md": "jax-md",
    "naive": "plain JAX",
    "pele": "pele",
    "lammps": "LAMMPS",
    "ase": "ASE",
    "numpy": "NumPy",
}
ENERGY = [("energy", "energy", name, "jax-md") for name in ("native", "xla", "jax-md")]
LEARNED_STEP = [
    ("learned step", "learned-step", name, "naive")
    for name in ("native", "xla", "naive")
]


def format_table(rows: list[Row], show: Callable[[Row], str], label: str) -> str:
    """Format a table of contenders by systems, in Markdown."""
    systems = list(dict.fromkeys(row["system"] for row in rows))
    lines = []
    for name in dict.fromkeys(row["contender"] for row in rows):
        found = {row["system"]: row for row in rows if row["contender"] == name}
        entries = [show(found[s]) if s in found else "" for s in systems]
        lines.append([NAMES.get(name, f"`{name}`"), *entries])
    return format_markdown([label, *systems], lines)


def format_times() -> str:
    """Table of energies and learned steps: times, and speed-up relative to the base."""
    entries: dict[str, dict[str, str]] = {}
    systems: dict[str, None] = {}
    for what, file, name, base in [*ENERGY, *LEARNED_STEP]:
        for row in read_rows(RESULTS / f"{file}.json"):
            if row["contender"] != name:
                continue
            systems[row["system"]] = None
            text = f"{row['ns_per_replica']:,.0f} ns"
            if name != base:
                text += f" ({row['ratio']:.1f}x)"
            entries.setdefault(f"{what}, {NAMES[name]}", {})[row["system"]] = text
    lines = [
        [label, *(found.get(system, "") for system in systems)]
        for label, found in entries.items()
    ]
    return format_markdown(["", *systems], lines)


def _drop_repeats(rows: list[Row]) -> list[Row]:
    """Drop the rows of the second run of the base, which shows the noise."""
    return [row for row in rows if not row["contender"].endswith(" again")]


def _format_nanoseconds(row: Row) -> str:
    return f"{row['ns_per_replica']:,.0f} ns"


def format_double_precision() -> str:
    """Table of energies in double precision, by hopgym and other programs."""
    rows = _drop_repeats(read_rows(RESULTS / "energy-float64.json"))
    return format_table(rows, _format_nanoseconds, "float64")


def format_quantities() -> str:
    """Tables of energies of atoms and of radial symmetry functions."""
    tables = []
    for file, label in (
        ("atom-energies", "energies of atoms"),
        ("radial", "radial functions"),
    ):
        rows = _drop_repeats(read_rows(RESULTS / f"{file}.json"))
        tables.append(format_table(rows, _format_nanoseconds, label))
    return "\n\n".join(tables)


def format_cores() -> str:
    """Table of wall times with one thread and with two."""
    rows = [
        row
        for row in _drop_repeats(read_rows(RESULTS / "cores.json"))
        if not row["contender"].endswith("halves")
    ]
    return format_table(rows, _format_nanoseconds, "1,280 replicas")


def _format_seconds(row: Row) -> str:
    if row["hits"]:
        return f"{row['cpu_seconds_per_hit']:.2g} s ({row['hits']}/{row['starts']})"
    return f"none in {row['cpu_seconds']:.1f} s (0/{row['starts']})"


def format_searches() -> str:
    """Table of searches: CPU time per hit."""
    rows = read_rows(RESULTS / "search.json")
    return format_table(rows, _format_seconds, "search")


def format_quenches() -> str:
    """Table of quenches: CPU time and evaluations."""
    rows = read_rows(RESULTS / "quench.json")
    return format_table(
        rows,
        lambda row: (
            f"{row['cpu_ms_per_quench']:.2f} ms ({row['evaluations_per_quench']:.0f})"
        ),
        "quench",
    )


def measure_update() -> float:
    """Median seconds of a meta-update on two cores: 240 unrolls of 10,000 steps."""
    lines = (RESULTS / "meta-update.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    # The first updates include compilation.
    return statistics.median(row["seconds"] for row in rows if row["update"] > 3)


TABLES = (
    format_times,
    format_double_precision,
    format_quantities,
    format_cores,
    format_searches,
    format_quenches,
)


def main() -> int:
    """Print all tables, and return the exit code."""
    print("\n\n".join(table() for table in TABLES))
    print(f"\nmeta-update: {measure_update():.2f} s")
    return 0


if __name__ == "__main__":
    run_command(main)
