"""The command line: what is asked for, checked before anything is computed."""

from __future__ import annotations

import argparse
import inspect
import sys
from pathlib import Path

import plugins
from presets import PRESETS, Preset
from run_cell import Task

from hopgym import System, get_system
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
The same command again goes on where an interrupted one stopped.
"""


def parser() -> Parser:
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


def tasks(args: argparse.Namespace) -> list[Task]:
    """The cells asked for.

    **Raises:** `ValueError` with a message of one line for what makes no sense.
    """
    preset = PRESETS[args.preset]
    named = list(preset.systems) if args.systems is None else args.systems
    chosen = systems(named)
    specs = list(preset.optimizers) if args.optimizers is None else args.optimizers
    entries = [plugins.find(spec) for spec in dict.fromkeys(specs + args.optimizer)]
    shown = [entry.name for entry in entries]
    for name in shown:
        if shown.count(name) > 1:
            raise ValueError(f"two optimizers are called {name}; rename a file")
    if not chosen or not entries:
        raise ValueError(f"no {'optimizers' if chosen else 'systems'} to run")
    return [
        Task(system, entry, *_budget(args, preset, system.name), args.seed or 0)
        for system in chosen
        for entry in entries
    ]


def selected(args: argparse.Namespace, cell: dict) -> bool:
    """Whether a stored cell is one that `--report` was asked for."""
    wanted = {
        "system": args.systems and [system.name for system in systems(args.systems)],
        "optimizer": args.optimizers,
        "starts": args.starts and [args.starts],
        "steps": args.steps and [args.steps],
        "seed": None if args.seed is None else [args.seed],
    }
    return all(not names or cell[column] in names for column, names in wanted.items())


def listing() -> str:
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
    lines += [f"  {name:16} {plugins.about(make)}" for name, make in ZOO.items()]
    return "\n".join(lines)


def systems(wanted: list[str]) -> list[System]:
    """The systems of these names, each once.

    **Raises:** `ValueError` for a name that is not known or makes no sense.
    """
    try:
        found = [get_system(name) for name in wanted]
    except KeyError as error:
        raise ValueError(error.args[0]) from error
    return list({system.name: system for system in found}.values())


def _budget(args: argparse.Namespace, preset: Preset, name: str) -> tuple[int, int]:
    budget = preset.systems.get(name, preset.budget)
    return args.starts or budget.starts, args.steps or budget.steps


def command() -> str:
    """The command line of this process."""
    return " ".join(["python", *sys.argv])
