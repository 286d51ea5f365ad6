"""Tune hyper-parameters of optimizers on starts that no reported result uses.

python benchmarks/tune.py --systems LJ-13,SW-Si64 --optimizers adam,fire,bh-paper
python benchmarks/tune.py --write     store the best settings with the zoo

Every point of an optimizer's grid is a cell of the benchmark, stored and resumed as
such. The best point for a system is the one with the lowest mean energy, of those with
which systems do not explode.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == "__main__":
    from benchmarks import start as start

import argparse
import contextlib
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.store import Store
from hopgym import System
from hopgym._atomic_write import atomic_write
from hopgym._cli.arguments import (
    Parser,
    describe_error,
    parse_count,
    parse_names,
    parse_starts,
)
from hopgym._cli.devices import use_all_cores
from hopgym._cli.interrupt import Farewell
from hopgym._cli.lookup import check_sizes, get_systems
from hopgym._cli.process import run as run_command
from hopgym._cli.progress import Bar
from hopgym._cli.provenance import describe_run, format_command
from hopgym._folder_lock import lock_folder
from hopgym.evaluation import run_cell
from hopgym.evaluation.columns import Cell
from hopgym.evaluation.plugins import Entry
from hopgym.optimizers import zoo

ROOT = Path(__file__).resolve().parent
TUNED = ROOT.parent / "optimizers" / "tuned.json"

# Adam and the paper's basin hopping: Learn2Hop, appendices C.1 and C.2. FIRE has no
# learning rate: its time steps are scaled together. Others: around the best values of
# small studies.
GRIDS: dict[str, list[dict[str, float]]] = {
    "adam": [{"learning_rate": rate} for rate in (1e-2, 5e-3, 1e-3)],
    "fire": [{"dt_start": dt, "dt_max": 8 * dt} for dt in (1e-2, 5e-3, 1e-3)],
    "bh-paper": [{"std": std} for std in (0.2, 0.4, 0.6, 0.8)],
    "annealing": [
        {"hot": hot, "cold": cold}
        for hot, cold in ((0.3, 0.15), (0.3, 0.05), (0.22, 0.1), (0.15, 0.05))
    ],
    "bh-lbfgs": [
        {"temperature": temperature, "step_size": step_size, "surface": surface}
        for temperature, step_size, surface in itertools.product(
            (0.15, 0.4, 0.8), (0.3, 0.36), (0.0, 0.4)
        )
    ],
    "bh-two-phase": [
        {"temperature": temperature, "step_size": step_size}
        for temperature, step_size in itertools.product((0.15, 0.5, 1.0), (0.36, 0.45))
    ],
}
SYSTEMS = ("LJ-13", "LJ-38", "LJ-75", "Gupta-Au55", "SW-Si64")
EXPLOSION = 0.05  # of the mean, by which last structures are higher on average
SEED = 1000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the missing points of the grids, print the best, return the exit code."""
    parser = Parser(prog="tune.py", description=__doc__, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--systems", metavar="A,B", type=parse_names, default=list(SYSTEMS))
    add("--optimizers", metavar="A,B", type=parse_names, default=list(GRIDS))
    add("--starts", type=parse_starts, default=40)
    add("--steps", type=parse_count, default=50_000)
    add("--out", type=Path, metavar="DIR", default=ROOT / "results" / "tuning")
    add("--write", action="store_true", help="store the best settings with the zoo")
    args = parser.parse_args(arguments)
    for name in args.optimizers:
        if name not in GRIDS:
            parser.error(f"no grid for {name!r}; grids exist for {', '.join(GRIDS)}")
    use_all_cores()
    with contextlib.ExitStack() as stack:
        try:
            systems = get_systems(args.systems)
            check_sizes(systems, args.starts)
            stack.enter_context(lock_folder(args.out))
            store = Store(args.out)
        except (ValueError, OSError) as error:
            parser.fail(error)
        stack.enter_context(Farewell(lambda: "interrupted: the same command resumes"))
        command = format_command("python benchmarks/tune.py", arguments)
        try:
            _tune(args, systems, store, command)
        except OSError as error:
            print(
                f"tune.py: error: cannot write results: {describe_error(error)}",
                file=sys.stderr,
            )
            return 1
    return 0


def _tune(
    args: argparse.Namespace, systems: Sequence[System], store: Store, command: str
) -> None:
    """Run the missing points of the grids, and write the record."""
    for complaint in store.complaints:
        print(f"{complaint}: left out", file=sys.stderr)
    points = []
    for system in systems:
        for name, settings in ((n, s) for n in args.optimizers for s in GRIDS[n]):
            cell = _get_cell(store, system, name, settings, args)
            points.append(cell)
            print(
                f"{system.name:12} {name:14} {settings} {cell['mean']:.4f}", flush=True
            )
    best = choose_best(points)
    for (name, system), point in best.items():
        print(f"best: {system:12} {name:14} {point['grid']} {point['mean']:.4f}")
    store.save_record({**describe_run(command), "seed": SEED}, points)
    if args.write:
        _store_with_zoo(best, {system.name: system.atoms for system in systems})


def choose_best(points: Sequence[Cell]) -> dict[tuple[str, str], Cell]:
    """Choose the point of lowest mean energy for each optimizer and system.

    Points with which it explodes are chosen only if there are no others: the last
    structures are high above the best ones then.
    """
    found: dict[tuple[str, str], list[Cell]] = {}
    for point in points:
        where = point["optimizer"].partition("(")[0], point["system"]
        found.setdefault(where, []).append(point)
    return {
        where: min(own, key=lambda point: (_explodes(point), point["mean"]))
        for where, own in found.items()
    }


def _explodes(point: Cell) -> bool:
    return point["final_mean"] - point["mean"] > EXPLOSION * abs(point["mean"])


def _get_cell(
    store: Store, system: Any, name: str, settings: dict[str, float], args: Any
) -> Cell:
    """Load a point of a grid from the folder, or run it."""
    shown = ",".join(f"{key}={value:g}" for key, value in settings.items())
    entry = Entry(
        f"{name}({shown})",
        lambda system, steps: zoo.build(zoo.ZOO[name], system, steps, **settings),
    )
    spec = run_cell.CellSpec(system, entry, args.starts, args.steps, SEED)
    optimizer = entry.make(system, args.steps)
    cell = store.load(run_cell.make_key(spec, optimizer))
    if cell is None:
        bar = Bar("  ".join(spec.name), spec.starts, spec.steps, sys.stderr)
        cell = run_cell.run(spec, optimizer, bar.update, bar.announce)
        bar.clear()
        store.save(cell)
    return {**cell, "grid": settings}


def _store_with_zoo(best: dict[tuple[str, str], Cell], sizes: dict[str, int]) -> None:
    """Write the best settings to the file that the zoo reads."""
    table = json.loads(TUNED.read_text())
    # Other systems of a family get the settings of the largest tuned one.
    for (name, system), point in sorted(
        best.items(), key=lambda item: sizes[item[0][1]]
    ):
        settings = table["settings"].setdefault(name, {})
        settings[system] = settings[system.split("-")[0]] = point["grid"]
    atomic_write(TUNED, json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    run_command(main)
