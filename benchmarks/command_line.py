"""The command line of run.py: options, and the cells that they ask for."""

from __future__ import annotations

import argparse
import inspect
from pathlib import Path

from benchmarks import plugins
from benchmarks.columns import Cell
from benchmarks.lookup import get_systems
from benchmarks.presets import PRESETS, Preset
from benchmarks.run_cell import CellSpec
from hopgym._cli.arguments import (
    Parser,
    parse_count,
    parse_names,
    parse_seconds,
    parse_seed,
)
from hopgym.optimizers.zoo import ZOO
from hopgym.systems.registry import FAMILIES

EXAMPLES = """\
examples:
  python benchmarks/run.py
  python benchmarks/run.py --preset paper --out results/paper
  python benchmarks/run.py --systems LJ-38,Gupta-Ag19Au19 --optimizers adam,bh-lbfgs
  python benchmarks/run.py --optimizer my_file.py:MyOptimizer
  python benchmarks/run.py --report results/quick --markdown
The same command resumes an interrupted one.
"""


def make_parser() -> Parser:
    """All options; README.md in this folder explains the protocol."""
    options = Parser(
        prog="run.py",
        description="Run optimizers on systems under one protocol and compare them.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = options.add_argument
    add("--preset", choices=list(PRESETS), default="quick", help="default: quick")
    add("--systems", metavar="A,B", type=parse_names, help="instead of the preset's")
    add("--optimizers", metavar="A,B", type=parse_names, help="instead of the preset's")
    add(
        "--optimizer",
        metavar="FILE.py:NAME",
        action="append",
        default=[],
        help="one of your own beside the others, also MODULE:NAME; repeatable",
    )
    add("--starts", type=parse_count, help="random starts of each cell")
    add("--steps", type=parse_count, help="search evaluations of each start")
    add("--seed", type=parse_seed, help="of starts and optimizers, default 0")
    add("--out", type=Path, metavar="DIR", help="default: results/<preset>")
    add("--float64", action="store_true", help="double precision")
    add("--fresh", action="store_true", help="run finished cells again")
    add(
        "--time-limit",
        type=parse_seconds,
        metavar="S",
        help="stop after so many seconds; the same command goes on later",
    )
    add("--list", action="store_true", help="list presets, systems and optimizers")
    add(
        "--report",
        type=Path,
        metavar="DIR",
        help="table and figures of the finished cells in DIR, nothing is run; "
        "--systems, --optimizers, --starts, --steps and --seed select",
    )
    add("--markdown", action="store_true", help="print the table as Markdown")
    return options


def choose_cells(args: argparse.Namespace) -> list[CellSpec]:
    """The cells that are to be run.

    **Raises:** `ValueError` with a one-line message for an invalid choice.
    """
    preset = PRESETS[args.preset]
    names = list(preset.systems) if args.systems is None else args.systems
    systems = get_systems(names)
    chosen = list(preset.optimizers) if args.optimizers is None else args.optimizers
    entries = [
        plugins.find_optimizer(name) for name in dict.fromkeys(chosen + args.optimizer)
    ]
    if not entries:
        raise ValueError("no optimizers to run")
    shown = [entry.name for entry in entries]
    for name in shown:
        if shown.count(name) > 1:
            raise ValueError(f"two optimizers are called {name}; rename a file")
    return [
        CellSpec(
            system, entry, *_choose_budget(args, preset, system.name), args.seed or 0
        )
        for system in systems
        for entry in entries
    ]


def is_selected(args: argparse.Namespace, cell: Cell) -> bool:
    """Whether `--report` asks for a stored cell."""
    wanted = {
        "system": args.systems
        and [system.name for system in get_systems(args.systems)],
        "optimizer": args.optimizers,
        "starts": args.starts and [args.starts],
        "steps": args.steps and [args.steps],
        "seed": None if args.seed is None else [args.seed],
    }
    return all(not names or cell[column] in names for column, names in wanted.items())


def list_choices() -> str:
    """Presets, systems by family, and optimizers, one line each."""
    lines = ["presets"]
    for name, preset in PRESETS.items():
        lines.append(f"  {name:16} {preset.about}: {', '.join(preset.systems)}")
    lines += ["", "systems (the benchmark takes any name that hopgym.get_system takes)"]
    for family in FAMILIES:
        span = f"{family.names[0]} ... {family.names[-1]}"
        doc = (inspect.getdoc(family) or "").partition("\n\n")[0].replace("\n", " ")
        lines.append(f"  {span}: {doc}")
    lines += ["", "optimizers"]
    lines += [
        f"  {name:16} {plugins.describe_factory(make)}" for name, make in ZOO.items()
    ]
    return "\n".join(lines)


def _choose_budget(
    args: argparse.Namespace, preset: Preset, system: str
) -> tuple[int, int]:
    budget = preset.systems.get(system, preset.budget)
    return args.starts or budget.starts, args.steps or budget.steps
