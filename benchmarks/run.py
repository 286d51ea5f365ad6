"""The benchmark: optimizers on systems under one protocol, see README.md.

python benchmarks/run.py --help
"""

from __future__ import annotations

import os
import sys

if not __package__:  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == "__main__":
    from benchmarks import start as start

import contextlib
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from benchmarks import command_line, figures, report, run_cell
from benchmarks.columns import Cell
from benchmarks.progress import Bar
from benchmarks.store import RECORD, Store, format_stem
from hopgym._cli.arguments import describe_error, format_duration
from hopgym._cli.devices import use_all_cores
from hopgym._cli.interrupt import Farewell, StopRequest
from hopgym._cli.process import run as run_command
from hopgym._cli.provenance import describe_run, format_command
from hopgym._folder_lock import InUse, lock_folder


class OutOfTime(Exception):
    """The time limit has passed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0: all cells are finished. 1: cells failed, or the time limit was reached. 2:
    invalid arguments; nothing was computed. 130 or 143: ended by a signal; finished
    cells are kept.
    """
    parser = command_line.make_parser()
    args = parser.parse_args(arguments)
    if args.list:
        print(command_line.list_choices())
        return 0
    if args.float64:
        jax.config.update("jax_enable_x64", True)
    use_all_cores()
    with contextlib.ExitStack() as stack:
        try:
            if args.report is not None:
                _report(args)
                return 0
            specs = command_line.choose_cells(args)
            folder = args.out or Path("results") / args.preset
            stack.enter_context(lock_folder(folder))
            store = Store(folder)
        except ValueError as error:
            parser.fail(error)
        except OSError as error:
            parser.error(f"cannot write results: {describe_error(error)}")
        command = format_command("python benchmarks/run.py", arguments)
        run = Run(args, specs, store, command)
        with Farewell(run.describe_interruption):
            return run.run()


class Run:
    """Runs the cells of a command, and keeps track of finished and failed ones."""

    def __init__(
        self, args: Any, specs: list[run_cell.CellSpec], store: Store, command: str
    ):
        self.args = args
        self.specs = specs
        self.store = store
        self.command = command
        self.finished: list[Cell] = []
        self.failures: list[dict[str, str]] = []
        self.started = time.perf_counter()
        self.out_of_time = StopRequest(args.time_limit)

    def run(self) -> int:
        """Run unfinished cells, write and print all, and return the exit code."""
        for complaint in self.store.complaints:
            _say(f"{complaint}: left out")
        try:
            try:
                for number, spec in enumerate(self.specs, 1):
                    self._process_cell(number, spec)
            except OutOfTime:
                left = len(self.specs) - len(self.finished) - len(self.failures)
                _say(f"time limit reached, {left} cells left: the same command resumes")
            self._save_record()
            _publish(self.args, self.store, self.finished, self.failures)
        except OSError as error:
            _say(f"run.py: error: cannot write results: {describe_error(error)}")
            return 1
        return 0 if len(self.finished) == len(self.specs) else 1

    def describe_interruption(self) -> str:
        """What is kept when the command is interrupted, as text."""
        return (
            f"interrupted: {len(self.finished)} of {len(self.specs)} cells are kept in "
            f"{self.store.folder}; the same command resumes"
        )

    def _process_cell(self, number: int, spec: run_cell.CellSpec) -> None:
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
                _say(f"{label}  finished before: {report.summarise_cell(cell)}")
            else:
                self._check_time()
                cell = self._compute(spec, optimizer, bar)
                self.store.save(cell)
                bar.clear()
                spent = format_duration(time.perf_counter() - self.started)
                _say(f"{label}  {report.summarise_cell(cell)}  ({spent} so far)")
            self.finished.append(cell)
        except OutOfTime:
            bar.clear()
            raise
        except Exception as error:
            bar.clear()
            last = f"{type(error).__name__}: {str(error).strip()}".partition("\n")[0]
            trace = "".join(traceback.format_exception(error))
            where = self.store.save_failure(stem, trace)
            _say(f"{label}  FAILED: {last} (traceback: {where})")
            names = dict(zip(("system", "optimizer"), spec.name, strict=True))
            self.failures.append({**names, "error": last})

    def _compute(self, spec: run_cell.CellSpec, optimizer: Any, bar: Bar) -> Cell:
        def progress(done, best):
            self._check_time()
            bar.update(done, best)

        return run_cell.run(spec, optimizer, progress, bar.announce)

    def _load(self, key: dict[str, Any]) -> Cell | None:
        try:
            return self.store.load(key)
        except ValueError as error:
            _say(f"{error}: this cell is run again")
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
        _say(f"{RECORD} in {self.store.folder}")


def _report(args: Any) -> None:
    """Print and draw the finished cells selected by `--report`.

    They are printed only while another process writes to the folder.

    **Raises:** `ValueError` if there are none, or the folder cannot be written to.
    """
    folder = args.report
    if not (folder / RECORD).is_file() and not (folder / "cells").is_dir():
        raise ValueError(f"{folder} holds no results")
    store = Store(folder)
    cells, complaints = store.load_all()
    for complaint in complaints:
        _say(f"{complaint}: left out")
    selected = [cell for cell in cells if command_line.is_selected(args, cell)]
    # As in the table: the last of cells that differ in settings only.
    groups = report.group_cells(selected)
    shown = [cell for _, members in groups for cell in members]
    if not shown:
        raise ValueError(f"{folder} holds no such results")
    try:
        with lock_folder(folder):
            _publish(args, store, shown, [])
    except InUse as error:
        print(report.render(shown, [], markdown=args.markdown), flush=True)
        _say(f"no files are written: {error}")


def _publish(
    args: Any, store: Store, cells: list[Cell], failures: list[dict[str, str]]
) -> None:
    """Print the table, write it as a CSV file and draw the figures."""
    store.save_csv(cells)
    print(report.render(cells, failures, markdown=args.markdown), flush=True)
    drawn = figures.draw(cells, store.folder)
    _say(f"results.csv and {len(drawn)} figures in {store.folder}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    run_command(main)
