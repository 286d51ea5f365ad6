"""Searches of other programs, under the protocol of the benchmark.

python benchmarks/external_search.py --help

The programs are anneal (pip install anneal) and pele (pip install pele). They get the
starts of run.py, and evaluations are counted in the potential that they are given.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == "__main__":
    from benchmarks import start as start

import argparse
from collections.abc import Sequence

from benchmarks import external_cell
from benchmarks.external_programs import PROGRAMS
from benchmarks.options import add_budget_options, add_run_options
from benchmarks.runner import publish_table, run_cells
from hopgym._cli.arguments import (
    Parser,
    parse_names,
)
from hopgym._cli.lookup import check_names, check_sizes, get_systems
from hopgym._cli.process import run as run_command
from hopgym.evaluation.plugins import Entry
from hopgym.evaluation.run_cell import CellSpec


def make_parser() -> Parser:
    """Parser of all options."""
    parser = Parser(
        prog="external_search.py",
        description=(__doc__ or "").splitlines()[0],
        epilog="Repeat the command to resume an interrupted one.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--programs",
        metavar="A,B",
        type=parse_names,
        default=list(PROGRAMS),
        help=f"default: {','.join(PROGRAMS)}",
    )
    add(
        "--systems",
        metavar="A,B",
        type=parse_names,
        default="LJ-38,LJ-75",
        help="Lennard-Jones clusters, default: %(default)s",
    )
    add_budget_options(parser, starts=8, folder="results/external")
    add_run_options(parser)
    add("--markdown", action="store_true", help="print the table as Markdown")
    parser.set_defaults(float64=False)
    return parser


def choose_cells(args: argparse.Namespace) -> list[CellSpec]:
    """Choose the cells to run.

    **Raises:** `ValueError` with a one-line message for invalid options, or programs
    that are not installed.
    """
    check_names("program", args.programs, PROGRAMS)
    systems = get_systems(args.systems)
    check_sizes(systems, args.starts)
    for system in systems:
        if not system.name.startswith("LJ-"):
            raise ValueError(
                f"the programs search for LJ clusters, not for {system.name}"
            )
    programs = {name: PROGRAMS[name]() for name in args.programs}
    return [
        CellSpec(
            system,
            Entry(name, lambda system, steps, program=program: program),
            *(args.starts, args.steps, args.seed),
        )
        for system in systems
        for name, program in programs.items()
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code, as that of run.py."""
    parser = make_parser()
    args = parser.parse_args(arguments)
    return run_cells(
        parser,
        args,
        arguments,
        choose=choose_cells,
        folder=args.out,
        publish=publish_table,
        compute=external_cell.run,
    )


if __name__ == "__main__":
    run_command(main)
