"""The command line of run.py: its options, and the cells that they select."""

from __future__ import annotations

import argparse
import inspect
from pathlib import Path

from benchmarks.options import add_run_options
from benchmarks.presets import PRESETS, Preset
from hopgym._cli.arguments import (
    Parser,
    parse_count,
    parse_names,
    parse_seed,
    parse_starts,
)
from hopgym._cli.lookup import check_sizes, get_systems
from hopgym.evaluation import plugins
from hopgym.evaluation.columns import Cell
from hopgym.evaluation.run_cell import CellSpec
from hopgym.optimizers.zoo import ZOO
from hopgym.systems.registry import FAMILIES

EXAMPLES = """\
examples:
  python benchmarks/run.py
  python benchmarks/run.py --preset paper --out results/paper
  python benchmarks/run.py --systems LJ-38,Gupta-Ag19Au19 --optimizers adam,bh-lbfgs
  python benchmarks/run.py --optimizer my_file.py:MyOptimizer
  python benchmarks/run.py --report results/quick --markdown
Repeat the command to resume an interrupted one.
"""


def make_parser() -> Parser:
    """Parser of all options; README.md in this folder explains the protocol."""
    options = Parser(
        prog="run.py",
        description="Compare optimizers on systems under one protocol.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = options.add_argument
    add("--preset", choices=list(PRESETS), default="quick", help="default: quick")
    instead = "instead of those of the preset"
    add("--systems", metavar="A,B", type=parse_names, help=instead)
    add("--optimizers", metavar="A,B", type=parse_names, help=instead)
    add(
        "--optimizer",
        metavar="FILE.py:NAME",
        action="append",
        default=[],
        help="your own optimizer, in addition; also MODULE:NAME; repeatable",
    )
    add("--starts", type=parse_starts, help="random starts per cell")
    add("--steps", type=parse_count, help="search evaluations per start")
    add("--seed", type=parse_seed, help="seed of starts and optimizers, default 0")
    add("--out", type=Path, metavar="DIR", help="default: results/<preset>")
    add("--float64", action="store_true", help="double precision")
    add_run_options(options)
    add("--list", action="store_true", help="list presets, systems and optimizers")
    add(
        "--report",
        type=Path,
        metavar="DIR",
        help="table and figures of the finished cells in DIR, without running any; "
        "--systems, --optimizers, --starts, --steps and --seed select cells",
    )
    add("--markdown", action="store_true", help="print the table as Markdown")
    return options


def choose_cells(args: argparse.Namespace) -> list[CellSpec]:
    """Choose the cells to run.

    **Raises:** `ValueError` with a one-line message for invalid options.
    """
    preset = PRESETS[args.preset]
    names = list(preset.systems) if args.systems is None else args.systems
    systems = get_systems(names)
    for system in systems:
        check_sizes([system], _choose_budget(args, preset, system.name)[0])
    chosen = list(preset.optimizers) if args.optimizers is None else args.optimizers
    entries = plugins.find_optimizers(chosen + args.optimizer)
    return [
        CellSpec(
            system, entry, *_choose_budget(args, preset, system.name), args.seed or 0
        )
        for system in systems
        for entry in entries
    ]


def is_selected(args: argparse.Namespace, cell: Cell) -> bool:
    """Whether the options of `--report` select a stored cell."""
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
    """List presets, families of systems and optimizers, one line each."""
    lines = ["presets"]
    for name, preset in PRESETS.items():
        lines.append(f"  {name:16} {preset.about}: {', '.join(preset.systems)}")
    lines += ["", "systems (any name that hopgym.get_system accepts)"]
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
