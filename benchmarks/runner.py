"""Running the cells of a command: folder, resuming, progress, failures, record."""

from __future__ import annotations

import contextlib
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from benchmarks import figures
from benchmarks.store import RECORD, Store, format_stem
from hopgym._cli.arguments import Parser, describe_error, format_duration
from hopgym._cli.devices import use_all_cores
from hopgym._cli.interrupt import Farewell, OutOfTime, StopRequest
from hopgym._cli.progress import Bar, say
from hopgym._cli.provenance import describe_run, format_command
from hopgym._folder_lock import lock_folder
from hopgym.evaluation import report, run_cell
from hopgym.evaluation.columns import Cell
from hopgym.evaluation.run_cell import CellSpec

Failure = dict[str, str]
Publish = Callable[[Any, Store, list[Cell], list[Failure]], None]
Compute = Callable[
    [CellSpec, Any, Callable[[int, Any], None], Callable[[str], None]], Cell
]

CELLS_AT_ONCE = 20  # cells after which compiled programs are forgotten


def run_cells(
    parser: Parser,
    args: Any,
    arguments: Sequence[str] | None,
    *,
    choose: Callable[[Any], list[CellSpec]],
    folder: Path,
    publish: Publish,
    compute: Compute = run_cell.run,
) -> int:
    """Run the cells of a command in its folder, and return the exit code.

    0: all cells are finished. 1: cells failed, or the time limit was reached. 2:
    invalid arguments; nothing was computed.

    **Arguments:**

    - `parser`, `args`: parser and options of the command.
    - `arguments`: as they were typed; `None` for those of the process.
    - `choose`: returns the cells; raises `ValueError` for invalid options.
    - `folder`: the results folder.
    - `publish`, `compute`: see `Run`.
    """
    if args.float64:
        jax.config.update("jax_enable_x64", True)
    use_all_cores()
    with contextlib.ExitStack() as stack:
        try:
            specs = choose(args)
            stack.enter_context(lock_folder(folder))
            store = Store(folder)
        except ValueError as error:
            parser.fail(error)
        except OSError as error:
            parser.error(f"cannot write results: {describe_error(error)}")
        command = format_command(f"python benchmarks/{parser.prog}", arguments)
        run = Run(args, specs, store, parser.prog, command, publish, compute)
        with Farewell(run.describe_interruption):
            return run.run()


class Run:
    """Runs the cells of a command, and keeps track of finished and failed ones.

    **Arguments:**

    - `args`: options of the command, with `seed`, `fresh` and `time_limit`.
    - `specs`: the cells.
    - `store`: the results folder.
    - `program`: name of the command.
    - `command`: the command line, for the record.
    - `publish`: called with options, folder, finished cells and failures at the end.
    - `compute`: computes a cell, as `run_cell.run`.
    """

    def __init__(
        self,
        args: Any,
        specs: list[CellSpec],
        store: Store,
        program: str,
        command: str,
        publish: Publish,
        compute: Compute = run_cell.run,
    ):
        self.args = args
        self.specs = specs
        self.store = store
        self.program = program
        self.command = command
        self.publish = publish
        self.compute = compute
        self.finished: list[Cell] = []
        self.failures: list[Failure] = []
        self.started = time.perf_counter()
        self.out_of_time = StopRequest(args.time_limit)

    def run(self) -> int:
        """Run unfinished cells, write and print all, and return the exit code."""
        for complaint in self.store.complaints:
            say(f"{complaint}: left out")
        try:
            try:
                for number, spec in enumerate(self.specs, 1):
                    self._process_cell(number, spec)
                    forget_programs(number)
            except OutOfTime:
                left = len(self.specs) - len(self.finished) - len(self.failures)
                say(f"time limit reached, {left} cells left: the same command resumes")
            self._save_record()
            self.publish(self.args, self.store, self.finished, self.failures)
        except OSError as error:
            reason = describe_error(error)
            say(f"{self.program}: error: cannot write results: {reason}")
            return 1
        except ValueError as error:
            say(f"{self.program}: error: {error}")
            return 1
        return 0 if len(self.finished) == len(self.specs) else 1

    def describe_interruption(self) -> str:
        """What is kept when the command is interrupted, as text."""
        return (
            f"interrupted: {len(self.finished)} of {len(self.specs)} cells are kept in "
            f"{self.store.folder}; the same command resumes"
        )

    def _process_cell(self, number: int, spec: CellSpec) -> None:
        """Load or run a cell, and save it or its failure."""
        width = len(str(len(self.specs)))
        label = f"[{number:{width}}/{len(self.specs)}] {'  '.join(spec.name)}"
        stem = "__".join(spec.name)
        bar = Bar(label, spec.starts, spec.steps, sys.stderr)
        try:
            optimizer = spec.entry.make(spec.system, spec.steps)
            key = run_cell.make_key(spec, optimizer)
            stem = format_stem(key)
            cell = None if self.args.fresh else self._load(key)
            if cell is not None:
                say(f"{label}  finished before: {report.summarise_cell(cell)}")
            else:
                self._check_time()
                cell = self._compute(spec, optimizer, bar)
                self.store.save(cell)
                bar.clear()
                spent = format_duration(time.perf_counter() - self.started)
                say(f"{label}  {report.summarise_cell(cell)}  ({spent} so far)")
            self.finished.append(cell)
        except OutOfTime:
            bar.clear()
            raise
        except Exception as error:
            bar.clear()
            last = f"{type(error).__name__}: {str(error).strip()}".partition("\n")[0]
            trace = "".join(traceback.format_exception(error))
            where = self.store.save_failure(stem, trace)
            say(f"{label}  FAILED: {last} (traceback: {where})")
            names = dict(zip(("system", "optimizer"), spec.name, strict=True))
            self.failures.append({**names, "error": last})

    def _compute(self, spec: CellSpec, optimizer: Any, bar: Bar) -> Cell:
        def progress(done, best):
            self._check_time()
            bar.update(done, best)

        return self.compute(spec, optimizer, progress, bar.announce)

    def _load(self, key: dict[str, Any]) -> Cell | None:
        try:
            return self.store.load(key)
        except ValueError as error:
            say(f"{error}: this cell is run again")
            return None

    def _check_time(self) -> None:
        if self.out_of_time():
            raise OutOfTime

    def _save_record(self) -> None:
        meta = {
            **describe_run(self.command),
            "seed": self.args.seed or 0,
            "protocol": run_cell.PROTOCOL_TEXT,
            "protocol_version": run_cell.PROTOCOL,
        }
        self.store.save_record(meta, self.finished, self.failures)
        say(f"{RECORD} in {self.store.folder}")


def publish_table(
    args: Any, store: Store, cells: list[Cell], failures: list[Failure]
) -> None:
    """Print the table, write it as a CSV file and draw the figures."""
    store.save_csv(cells)
    print(report.render(cells, failures, markdown=args.markdown), flush=True)
    drawn = figures.draw(cells, store.folder)
    say(f"results.csv and {len(drawn)} figures in {store.folder}")


def forget_programs(count: int) -> None:
    """Forget compiled programs after some cells.

    Each takes hundreds of memory mappings, and a process has 65,530 of them in Linux.

    **Arguments:**

    - `count`: number of cells until now.
    """
    if count % CELLS_AT_ONCE == 0:
        jax.clear_caches()
