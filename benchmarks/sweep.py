"""Which Lennard-Jones clusters a search finds, size by size.

python benchmarks/sweep.py --help

Every size is a cell of the benchmark, stored and resumed as those of run.py.
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

from benchmarks import sweep_figure
from benchmarks.options import add_budget_options, add_run_options
from benchmarks.runner import Failure, run_cells
from benchmarks.store import Store
from hopgym._cli.arguments import (
    Parser,
    parse_integer,
    parse_names,
)
from hopgym._cli.lookup import check_sizes, get_systems
from hopgym._cli.process import run as run_command
from hopgym._cli.progress import say
from hopgym.evaluation import plugins, report
from hopgym.evaluation.columns import Cell
from hopgym.evaluation.figure_file import save_figure
from hopgym.evaluation.run_cell import CellSpec

OPTIMIZERS = ["bh-symmetric"]
SMALLEST, LARGEST = 2, 150  # whose minima are known
FIGURE = "sweep.png"
EXAMPLES = """\
examples:
  python benchmarks/sweep.py
  python benchmarks/sweep.py --optimizers bh-symmetric,bh-lbfgs --sizes 30-40,75
Repeat the command to resume an interrupted one.
"""


def parse_sizes(text: str) -> list[int]:
    """Parse numbers of atoms, such as 2-150 or 13,38,75-78, in their order.

    **Raises:** `argparse.ArgumentTypeError` for anything else.
    """
    sizes = []
    for part in parse_names(text):
        first, dash, last = part.partition("-")
        low, high = (
            parse_integer(end, SMALLEST, LARGEST)
            for end in (first, last if dash else first)
        )
        if low > high:
            raise argparse.ArgumentTypeError(f"{part!r} is not a range of sizes")
        sizes += range(low, high + 1)
    return list(dict.fromkeys(sizes))


def make_parser() -> Parser:
    """Parser of all options."""
    parser = Parser(
        prog="sweep.py",
        description=(__doc__ or "").splitlines()[0],
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--optimizers",
        metavar="A,B",
        type=parse_names,
        default=OPTIMIZERS,
        help=f"of the zoo, or FILE.py:NAME; default: {','.join(OPTIMIZERS)}",
    )
    add(
        "--sizes",
        metavar="A-B,C",
        type=parse_sizes,
        default=f"{SMALLEST}-{LARGEST}",
        help="numbers of atoms, default: %(default)s",
    )
    add_budget_options(parser, starts=10, folder="results/sweep")
    add("--float64", action="store_true", help="double precision")
    add_run_options(parser)
    return parser


def choose_cells(args: argparse.Namespace) -> list[CellSpec]:
    """Choose the cells to run.

    **Raises:** `ValueError` with a one-line message for invalid options.
    """
    systems = get_systems(f"LJ-{atoms}" for atoms in args.sizes)
    check_sizes(systems, args.starts)
    entries = plugins.find_optimizers(args.optimizers)
    return [
        CellSpec(system, entry, args.starts, args.steps, args.seed)
        for system in systems
        for entry in entries
    ]


def format_summary(cells: Sequence[Cell], failures: Sequence[Failure] = ()) -> str:
    """Format for each optimizer which sizes it found and which it missed."""
    lines = []
    for name in dict.fromkeys(cell["optimizer"] for cell in cells):
        own = [cell for cell in cells if cell["optimizer"] == name]
        missed = [sweep_figure.get_size(cell) for cell in own if not cell["hits"]]
        hits, starts = (sum(cell[key] for cell in own) for key in ("hits", "starts"))
        lines.append(
            f"{name}: {len(own) - len(missed)} of {len(own)} sizes found, in {hits:,} "
            f"of {starts:,} starts; missed: {', '.join(map(str, missed)) or 'none'}"
        )
    return "\n".join([*lines, *map(report.describe_failure, failures)])


def publish(
    args: argparse.Namespace, store: Store, cells: list[Cell], failures: list[Failure]
) -> None:
    """Print what was found, write the numbers as a CSV file and draw the figure."""
    store.save_csv(cells)
    print(format_summary(cells, failures), flush=True)
    if cells:
        save_figure(store.folder / FIGURE, sweep_figure.draw(cells))
    say(f"results.csv{f' and {FIGURE}' if cells else ''} in {store.folder}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code, as that of run.py."""
    parser = make_parser()
    args = parser.parse_args(arguments)
    return run_cells(
        parser, args, arguments, choose=choose_cells, folder=args.out, publish=publish
    )


if __name__ == "__main__":
    run_command(main)
