"""A figure or table of the paper: trains, runs, tabulates and draws what it needs.

python benchmarks/reproduce.py --help
"""

from __future__ import annotations

import os
import sys

if not __package__:  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == "__main__":
    from benchmarks import start as start

import argparse
import textwrap
from collections.abc import Sequence
from pathlib import Path

from benchmarks.options import add_run_options
from benchmarks.paper import training
from benchmarks.paper.registry import STUDIES
from benchmarks.paper.study import AbstractStudy, CellPlan
from benchmarks.runner import Failure, run_cells
from benchmarks.store import Store
from hopgym._cli.arguments import (
    Parser,
    describe_error,
    parse_count,
    parse_names,
    parse_seed,
    parse_starts,
)
from hopgym._cli.interrupt import StopRequest
from hopgym._cli.lookup import check_names, check_sizes, get_systems
from hopgym._cli.process import run as run_command
from hopgym._cli.progress import say
from hopgym.evaluation import plugins, report
from hopgym.evaluation.columns import Cell
from hopgym.evaluation.run_cell import CellSpec

EXAMPLES = """\
examples:
  python benchmarks/reproduce.py --list
  python benchmarks/reproduce.py table2 --quick
  python benchmarks/reproduce.py table3
  python benchmarks/reproduce.py table3 --train && python benchmarks/reproduce.py table3
Repeat the command to resume an interrupted one. Weights that are not trained here are
those that come with hopgym.
"""


def make_parser() -> Parser:
    """Parser of all options."""
    parser = Parser(
        prog="reproduce.py",
        description="Reproduce a figure or table of the paper Learn2Hop.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    names = ", ".join(STUDIES)
    add("study", metavar="NAME", nargs="?", choices=list(STUDIES), help=names)
    add(
        "--list",
        action="store_true",
        help="list them, with the paper's claims and what holds",
    )
    add("--quick", action="store_true", help="a part of it, in a few minutes")
    weights = "train its weights instead; in several terminals, several at a time"
    add("--train", action="store_true", help=weights)
    add("--systems", metavar="A,B", type=parse_names, help="these of its systems only")
    few = "these of its optimizers only, or of its trainings"
    add("--optimizers", metavar="A,B", type=parse_names, help=few)
    updates = "with --train: meta-updates of each training"
    add("--updates", type=parse_count, metavar="N", help=updates)
    add("--starts", type=parse_starts, metavar="N", help="random starts per cell")
    add("--steps", type=parse_count, metavar="N", help="evaluations per start")
    add("--seed", type=parse_seed, metavar="N", help="of starts, default 0")
    folder = "default: results/NAME, with --quick results/NAME-quick"
    add("--out", type=Path, metavar="DIR", help=folder)
    add("--float64", action="store_true", help="double precision")
    add_run_options(parser)
    return parser


def choose_cells(args: argparse.Namespace, study: AbstractStudy) -> list[CellSpec]:
    """Choose the cells to run.

    **Raises:** `ValueError` with a one-line message for invalid options, missing
    weights, or a folder with results of another seed.
    """
    _check_seed(args)
    plans = _select(args, study)
    trained = {one.name for one in study.list_trainings()}
    entries = {}
    for name in dict.fromkeys(plan.optimizer for plan in plans):
        path = study.find_weights(args.out, name) if name in trained else name
        entries[name] = plugins.find_optimizer(str(path))
    names = dict.fromkeys(plan.system for plan in plans)
    systems = dict(zip(names, get_systems(names), strict=True))
    specs = [
        CellSpec(
            systems[plan.system],
            entries[plan.optimizer],
            args.starts or plan.starts,
            args.steps or plan.steps,
            args.seed,
        )
        for plan in plans
    ]
    for spec in specs:
        check_sizes([spec.system], spec.starts)
    # Budgets that differ in nothing but what the options determine are one.
    return list({(spec.name, spec.starts, spec.steps): spec for spec in specs}.values())


def _select(args: argparse.Namespace, study: AbstractStudy) -> list[CellPlan]:
    """Select the cells of a study that the options name.

    **Raises:** `ValueError` for a name that it lacks.
    """
    plans = list(study.list_cells(args.quick))
    for kind in ("system", "optimizer"):
        names = getattr(args, f"{kind}s")
        if names is not None:
            check_names(kind, names, dict.fromkeys(getattr(p, kind) for p in plans))
            plans = [plan for plan in plans if getattr(plan, kind) in names]
    if not plans:
        raise ValueError(f"{study.name} has no cells of these")
    return plans


def _check_seed(args: argparse.Namespace) -> None:
    """Raise `ValueError` if the folder has results of another seed."""
    if not args.out.is_dir():
        return
    others = {cell["seed"] for cell in Store(args.out).load_all()[0]} - {args.seed}
    if others:
        raise ValueError(
            f"{args.out} has results of seed {min(others)}: choose this seed, or "
            "another folder"
        )


def list_studies() -> str:
    """List the studies with the claims of the paper, and whether these hold."""
    lines = []
    for name, study in STUDIES.items():
        lines.append(f"{name}  {study.title}")
        for text in (f"the paper: {study.claim}", f"here: {study.finding}"):
            lines.append(
                textwrap.fill(
                    text,
                    80,
                    initial_indent="  ",
                    subsequent_indent="    ",
                    break_on_hyphens=False,
                )
            )
        count = len(study.list_trainings())
        if count:
            done = sum(study.has_results(one.name) for one in study.list_trainings())
            need = "" if done == count else ": use --train"
            lines.append(f"  trainings: {count}, results of {done} are here{need}")
        lines.append("")
    return "\n".join(lines[:-1])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0: all is finished. 1: cells failed, or the time limit was reached. 2: invalid
    arguments; nothing was computed. 130 or 143: ended by a signal; what is finished is
    kept.
    """
    parser = make_parser()
    args = parser.parse_args(arguments)
    if args.list:
        print(list_studies())
        return 0
    if args.study is None:
        parser.error(f"name one of {', '.join(STUDIES)}, or give --list")
    study = STUDIES[args.study]
    if args.out is None:
        args.out = Path("results") / f"{args.study}{'-quick' if args.quick else ''}"
    _check_options(parser, args, study)
    if args.train:
        return training.train(parser, args, study)
    args.seed = args.seed or 0
    publication = Publication(study, args)
    if not study.list_cells(args.quick):
        try:
            args.out.mkdir(parents=True, exist_ok=True)
            publication.publish([], [])
        except ValueError as error:
            parser.fail(error)
        except OSError as error:
            parser.error(f"cannot write results: {describe_error(error)}")
        return 0

    def publish(
        args: argparse.Namespace,
        store: Store,
        cells: list[Cell],
        failures: list[Failure],
    ) -> None:
        store.save_csv(cells)
        publication.publish(cells, failures)

    code = run_cells(
        parser,
        args,
        arguments,
        choose=lambda args: choose_cells(args, study),
        folder=args.out,
        publish=publish,
    )
    return code or int(not publication.is_complete)


def _check_options(
    parser: Parser, args: argparse.Namespace, study: AbstractStudy
) -> None:
    """End the command if options are given that have no effect."""
    cells = ("systems", "starts", "steps", "seed", "float64", "fresh")
    if args.train:
        useless, why = cells, "of cells, not of trainings"
    elif not study.list_cells(args.quick):
        useless, why = (*cells, "optimizers"), f"of cells, which {study.name} has not"
    else:
        useless, why = (), ""
    for name in useless:
        if getattr(args, name) not in (None, False):
            parser.error(f"--{name} is an option {why}")
    if args.updates is not None and not args.train:
        parser.error("--updates is an option of trainings: add --train")


class Publication:
    """Prints the tables of a study and draws its figures.

    **Attributes:** `is_complete`: whether all was computed that is no cell.
    """

    def __init__(self, study: AbstractStudy, args: argparse.Namespace):
        self.study = study
        self.args = args
        self.is_complete = True
        self._stop = StopRequest(args.time_limit)

    def publish(self, cells: Sequence[Cell], failures: Sequence[Failure]) -> None:
        """Publish what there is, below the claim of the paper."""
        study, folder = self.study, self.args.out
        self.is_complete = study.measure(cells, folder, self._stop, self.args.fresh)
        if not cells and study.list_cells(self.args.quick):
            return
        lines = [study.format(cells, folder), *map(report.describe_failure, failures)]
        lines += [
            f"{cell['system']} {discovery}, {cell['reference']}"
            for cell in cells
            if (discovery := report.describe_discovery(cell)) is not None
        ]
        print("\n".join([f"The paper: {study.claim}.", "", *lines]), flush=True)
        drawn = [path.name for path in study.draw(cells, folder)]
        if drawn:
            say(f"{', '.join(drawn)} in {folder}")


if __name__ == "__main__":
    run_command(main)
