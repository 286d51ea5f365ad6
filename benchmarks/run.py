"""The benchmark: optimizers on systems under one protocol. README.md explains it.

python benchmarks/run.py --help
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import command_line
import figures
import jax
import report
import run_cell
from progress import Bar
from provenance import describe_host
from store import Store

from hopgym._cli.arguments import format_duration

T = TypeVar("T")


class OutOfTime(Exception):
    """The time limit has passed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit code.

    0: all cells are there. 1: cells failed, or the time limit was reached. 2: the
    command makes no sense, nothing was computed.
    """
    parser = command_line.parser()
    args = parser.parse_args(arguments)
    if args.list:
        print(command_line.listing())
        return 0
    _configure(args.float64)
    try:
        if args.report is not None:
            store, chosen = _stored(args)
            return _publish(args, store, chosen, [])
        tasks = command_line.tasks(args)
        store = Store(args.out or Path("results") / args.preset)
    except ValueError as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"cannot write results: {error}")
    return Run(args, tasks, store).go()


class Run:
    """One command: the cells it asks for, those that are done, those that failed."""

    def __init__(self, args: Any, tasks: list[run_cell.Task], store: Store):
        self.args = args
        self.tasks = tasks
        self.store = store
        self.done: list[dict[str, Any]] = []
        self.failures: list[dict[str, str]] = []
        self.host = describe_host()
        self.began = time.perf_counter()

    def go(self) -> int:
        """Run what is not finished, then write and print everything."""
        try:
            try:
                for number, task in enumerate(self.tasks, 1):
                    self._cell(number, task)
            except OutOfTime:
                left = len(self.tasks) - len(self.done) - len(self.failures)
                _say(f"time limit reached, {left} cells left: the same command goes on")
            _publish(self.args, self.store, self.done, self.failures)
        except KeyboardInterrupt:
            _say(
                f"\ninterrupted: {len(self.done)} of {len(self.tasks)} cells are kept "
                f"in {self.store.folder}; the same command goes on from there"
            )
            # A thread that computes cannot be stopped, and has nothing to save.
            sys.stdout.flush()
            os._exit(130)
        except OSError as error:
            _say(f"run.py: error: cannot write results: {error}")
            return 1
        return 0 if len(self.done) == len(self.tasks) else 1

    def _cell(self, number: int, task: run_cell.Task) -> None:
        width = len(str(len(self.tasks)))
        label = f"[{number:{width}}/{len(self.tasks)}] {'  '.join(task.name)}"
        stem = "__".join(task.name)
        bar = Bar(label, task.starts, task.steps, sys.stderr)
        try:
            optimizer = task.entry.make(task.system, task.steps)
            key = run_cell.key(task, optimizer)
            stem = self.store.stem(key)
            cell = None if self.args.fresh else self._finished(key)
            if cell is not None:
                _say(f"{label}  finished before: {report.summary(cell)}")
            else:
                self._check_time()
                cell = _interruptible(lambda: self._compute(task, optimizer, bar))
                self.store.save(key, cell)
                bar.clear()
                spent = format_duration(time.perf_counter() - self.began)
                _say(f"{label}  {report.summary(cell)}  ({spent} so far)")
            self.done.append(cell)
        except OutOfTime:
            bar.clear()
            raise
        except Exception as error:
            bar.clear()
            last = f"{type(error).__name__}: {str(error).strip()}".partition("\n")[0]
            trace = "".join(traceback.format_exception(error))
            where = self.store.save_failure(stem, trace)
            _say(f"{label}  FAILED: {last} (traceback: {where})")
            names = dict(zip(("system", "optimizer"), task.name, strict=True))
            self.failures.append({**names, "error": last})

    def _compute(self, task: run_cell.Task, optimizer: Any, bar: Bar) -> dict[str, Any]:
        def progress(done, best):
            self._check_time()
            bar.update(done, best)

        cell = run_cell.run(task, optimizer, progress, bar.stage)
        return {**cell, "date": describe_host()["date"], "host": self.host}

    def _finished(self, key: dict[str, Any]) -> dict[str, Any] | None:
        try:
            return self.store.load(key)
        except ValueError as error:
            _say(f"{error}: this cell is run again")
            return None

    def _check_time(self) -> None:
        limit = self.args.time_limit
        if limit is not None and time.perf_counter() - self.began > limit:
            raise OutOfTime


def _stored(args: Any) -> tuple[Store, list[dict[str, Any]]]:
    """The folder and the finished cells that `--report` asks for.

    **Raises:** `ValueError` if there are none.
    """
    if not (args.report / "cells").is_dir():
        raise ValueError(f"{args.report} holds no results")
    store = Store(args.report)
    found, complaints = store.load_all()
    for complaint in complaints:
        _say(f"{complaint}: left out")
    # The last of cells that differ in nothing but settings, as in the table.
    wanted = report.groups(cell for cell in found if command_line.selected(args, cell))
    chosen = [cell for _, members in wanted for cell in members]
    if not chosen:
        raise ValueError(f"{args.report} holds no such results")
    return store, chosen


def _publish(
    args: Any,
    store: Store,
    done: list[dict[str, Any]],
    failures: list[dict[str, str]],
) -> int:
    """Write the results, print the table and draw the figures."""
    store.save_results(_meta(args, describe_host()), done, failures)
    print(report.render(done, failures, markdown=args.markdown), flush=True)
    drawn = figures.draw(done, store.folder)
    _say(f"results.json, results.csv and {len(drawn)} figures in {store.folder}")
    return 0


def _meta(args: Any, host: dict[str, Any]) -> dict[str, Any]:
    return {
        "command": command_line.command(),
        "seed": args.seed or 0,
        "protocol": run_cell.PROTOCOL_TEXT,
        "protocol_version": run_cell.PROTOCOL,
        **host,
    }


def _interruptible(work: Callable[[], T]) -> T:
    """`work()` in a thread, so that Ctrl-C is heard in the middle of a computation."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future.result()


def _configure(float64: bool) -> None:
    """Precision, and a device for each core; too late where JAX is at work already."""
    if float64:
        jax.config.update("jax_enable_x64", True)
    try:
        jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    except RuntimeError:
        return


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
