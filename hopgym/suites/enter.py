"""Makes an entry: runs an optimizer on the test systems of a suite.

`python -m hopgym.suites.enter --help`
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np

from hopgym._cli.arguments import (
    Parser,
    describe_error,
    format_duration,
    parse_names,
    parse_positive,
)
from hopgym._cli.devices import use_all_cores
from hopgym._cli.interrupt import Farewell, OutOfTime, StopRequest
from hopgym._cli.lookup import check_names, check_sizes, get_systems
from hopgym._cli.process import run as run_command
from hopgym._cli.progress import Bar, say
from hopgym._cli.provenance import describe_run, format_command
from hopgym._folder_lock import LOCK, lock_folder
from hopgym.evaluation import report, run_cell
from hopgym.evaluation.columns import Cell
from hopgym.evaluation.describe import describe, digest
from hopgym.evaluation.first_hits import FirstHits
from hopgym.evaluation.plugins import Entry, find_optimizer
from hopgym.evaluation.run_cell import CellSpec
from hopgym.suites import entry as folders
from hopgym.suites.entry import Header
from hopgym.suites.registry import SUITES
from hopgym.suites.starts import compute_start_energies
from hopgym.suites.structures import Collector, load, read_settings, save
from hopgym.suites.suite import RULESETS, Suite
from hopgym.systems import System

Compute = Callable[..., Cell]  # as `run_cell.run`

EXAMPLES = """\
examples:
  python -m hopgym.suites.enter my_file.py:MyOptimizer --ruleset self-tuned \\
      --author "A. Nother" --tuning "step length chosen on LJ-38" --out entry/
  python -m hopgym.suites.verify entry/
Repeat the command to resume an interrupted one.
"""


def add_header_options(parser: Parser) -> None:
    """Add what an entry says about itself."""
    add = parser.add_argument
    add("--suite", choices=list(SUITES), default=list(SUITES)[-1], help="its version")
    rules = "; ".join(f"{name}: {text}" for name, text in RULESETS.items())
    add("--ruleset", choices=list(RULESETS), required=True, help=rules)
    how = "how its configuration was chosen, and on which systems"
    add("--tuning", metavar="TEXT", required=True, help=how)
    who = "name of an author; repeatable"
    add("--author", metavar="NAME", action="append", required=True, help=who)
    add("--name", help="in the leaderboard, default: that of the optimizer")
    add("--reference", default="", metavar="TEXT", help="a paper or an address")
    add("--systems", metavar="A,B", type=parse_names, help="these first, others later")
    add("--out", type=Path, metavar="DIR", required=True, help="folder of the entry")
    limit = "stop after S seconds; repeat the command to resume"
    add("--time-limit", type=parse_positive, metavar="S", help=limit)


def make_header(args: argparse.Namespace, entry: Entry, command: str) -> Header:
    """The header of an entry from the options of `add_header_options`."""
    run = describe_run(command)
    return Header(
        suite=args.suite,
        name=args.name or entry.name,
        authors=args.author,
        ruleset=args.ruleset,
        tuning=args.tuning,
        reference=args.reference,
        optimizer=entry.name,
        source=entry.source or "",
        command=command,
        date=run["date"],
        machine=f"{run['cpu']}, {run['devices']}, {run['platform']}",
        protocol=run_cell.PROTOCOL,
        versions={"python": run["python"], **run["versions"]},
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0: the systems are done. 1: a system failed, or the time limit was reached. 2:
    invalid arguments; nothing was changed. 130 or 143: ended by a signal; systems that
    are done are kept.
    """
    parser = Parser(
        prog="enter.py",
        description="Make an entry: run an optimizer on the test systems of a suite.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    what = "of the zoo, FILE.py:NAME, MODULE:NAME, or a file of weights"
    parser.add_argument("optimizer", metavar="OPTIMIZER", help=what)
    add_header_options(parser)
    args = parser.parse_args(arguments)
    try:
        entry = find_optimizer(args.optimizer)
    except ValueError as error:
        parser.fail(error)
    command = format_command("python -m hopgym.suites.enter", arguments)
    return make_entry(parser, args, entry, command, run_cell.run)


def make_entry(
    parser: Parser,
    args: argparse.Namespace,
    entry: Entry,
    command: str,
    compute: Compute,
) -> int:
    """Make an entry, and return the exit code of the command.

    **Arguments:**

    - `parser`, `args`: of a command with the options of `add_header_options`.
    - `entry`: the optimizer.
    - `command`: as it was typed.
    - `compute`: runs a cell, as `run_cell.run`.
    """
    use_all_cores()
    stop = StopRequest(args.time_limit)
    with contextlib.ExitStack() as stack:
        try:
            header = make_header(args, entry, command)
            suite = folders.check_header(header)
            names = suite.test if args.systems is None else args.systems
            check_names("test system", names, suite.test)
            systems = get_systems(names, suite.get_system)
            check_sizes(systems, suite.starts)
            _check_folder(args.out, header)
            stack.enter_context(lock_folder(args.out))
            folders.write_header(args.out, header)
        except ValueError as error:
            parser.fail(error)
        except OSError as error:
            parser.error(f"cannot write the entry: {describe_error(error)}")
        maker = _Maker(args.out, suite, entry, compute, stop)
        stack.enter_context(Farewell(maker.describe_interruption))
        return maker.run(systems)


def _check_folder(folder: Path, header: Header) -> None:
    """Check that a folder is free, or has the entry to be resumed.

    **Raises:** `ValueError` if it is not.
    """
    if (folder / folders.HEADER).exists():
        difference = header.describe_difference(folders.read_header(folder))
        if difference:
            raise ValueError(
                f"{folder} is another entry: {difference}; choose another --out"
            )
    elif folder.is_dir() and {*folder.iterdir()} - {folder / LOCK}:
        raise ValueError(f"{folder} has other files: choose another --out")


class _Maker:
    """Runs the systems of an entry, and writes the structures of each."""

    def __init__(
        self,
        folder: Path,
        suite: Suite,
        entry: Entry,
        compute: Compute,
        stop: StopRequest,
    ):
        self.folder = folder
        self.suite = suite
        self.entry = entry
        self.compute = compute
        self.stop = stop
        self.started = time.perf_counter()
        self.done = 0

    def describe_interruption(self) -> str:
        """What is kept when the command is interrupted."""
        return (
            f"interrupted: {self.done} systems are kept in {self.folder}; the same "
            "command resumes"
        )

    def run(self, systems: Sequence[System]) -> int:
        """Run the systems that are missing, and return the exit code."""
        for number, system in enumerate(systems, 1):
            label = f"[{number}/{len(systems)}] {system.name}"
            try:
                said = self._process(system, label)
            except OutOfTime:
                say("time limit reached: the same command resumes")
                return 1
            except OSError as error:
                say(f"error: cannot write the entry: {describe_error(error)}")
                return 1
            except ValueError as error:
                say(f"{label}  error: {error}")
                return 1
            self.done += 1
            say(f"{label}  {said}")
            jax.clear_caches()
        left = len(self.suite.test) - len(
            folders.find_structures(self.folder, self.suite)
        )
        if left:
            say(f"{left} of {len(self.suite.test)} test systems are missing")
        say(f"entry in {self.folder}: python -m hopgym.suites.verify {self.folder}")
        return 0

    def _process(self, system: System, label: str) -> str:
        """Run a system unless the entry has it, and describe it."""
        suite, path = self.suite, folders.locate_structures(self.folder, system.name)
        optimizer = self.entry.make(system, suite.steps)
        settings = digest(describe(optimizer))
        if path.exists():
            if read_settings(path) != settings:
                raise ValueError(
                    f"{path} was made with other settings of the optimizer: remove it, "
                    "or choose another --out"
                )
            return "done before"
        seed = suite.derive_seed(system.name)
        spec = CellSpec(system, self.entry, suite.starts, suite.steps, seed)
        collector = Collector(suite.budgets)
        hits = FirstHits(system, suite.starts)
        bar = Bar(label, suite.starts, suite.steps, sys.stderr)

        def progress(done: int, best: np.ndarray) -> None:
            if self.stop():
                raise OutOfTime
            bar.update(done, best)

        try:
            cell = self.compute(
                spec, optimizer, progress, bar.announce, hits, collector.observe
            )
        finally:
            bar.clear()
        found = collector.finish(
            hits,
            np.asarray(cell["first_hit"]),
            compute_start_energies(system, suite),
        )
        save(path, found, system, settings)
        load(path, system, suite)  # what verification will read
        spent = format_duration(time.perf_counter() - self.started)
        return f"{report.summarise_cell(cell)}  ({spent} so far)"


if __name__ == "__main__":
    run_command(main)
