"""A search from the command line: python -m hopgym.search --help."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hopgym._cli.arguments import format_duration
from hopgym._cli.devices import use_all_cores
from hopgym._cli.interrupt import StopRequest
from hopgym._cli.provenance import describe_run
from hopgym.search.command_line import (
    Plan,
    check_extras,
    differences,
    parser,
    plan,
    resumed,
)
from hopgym.search.search import Search
from hopgym.search.search_folder import SearchFolder

KEEP = 10
SAVE_SECONDS = 5.0
PAUSE = 10.0  # seconds between lines where there is no terminal


def main(arguments: Sequence[str] | None = None) -> int:
    """Search; the exit code.

    0: all steps are done. 1: stopped before, by the time limit or a signal, or an
    error. 2: the command makes no sense; nothing was changed.
    """
    options = parser()
    given = vars(options.parse_args(arguments))
    resume = given.pop("resume", False)
    keep, limit = given.pop("keep", KEEP), given.pop("time_limit", None)
    try:
        check_extras()
        use_all_cores()
        path = given.pop("out", None)
        chosen, folder = _chosen(given, path, resume)
        words = sys.argv[1:] if arguments is None else arguments
        command = " ".join(["python -m hopgym.search", *words])
        search = Search(chosen, folder, describe_run(command, ["ase"]))
        if folder.holds_a_search:
            search.restore()
        else:
            search.save()
    except KeyError as error:
        options.error(error.args[0])
    except (ValueError, OSError) as error:
        options.error(str(error).partition("\n")[0])
    return Command(search, keep, StopRequest(limit)).go()


class Command:
    """A search that runs until it is done or is stopped, and its report."""

    def __init__(self, search: Search, keep: int, stop: StopRequest):
        self.search = search
        self.keep = keep
        self.stop = stop
        self.first = search.done
        self.compiled: float | None = None
        self.live = sys.stderr.isatty()
        self.shown = -1e9

    def go(self) -> int:
        """Search and report; the exit code."""
        search = self.search
        try:
            with self.stop:
                if self.first:
                    self._say(f"going on after step {self.first:,}")
                self._run()
                search.save()
                if self.live:
                    sys.stderr.write("\r\x1b[K")
                self._report()
        except OSError as error:
            self._say(f"error: cannot write to {search.folder.path}: {error}")
            return 1
        if search.finished:
            return 0
        self._say(
            f"{self.stop.reason} after step {search.done:,} of {search.plan.steps:,}; "
            f"go on with: python -m hopgym.search --out {search.folder.path} --resume"
        )
        return 1

    def _run(self) -> None:
        saved = time.perf_counter()
        while not self.search.finished and not self.stop():
            self.search.advance()
            now = time.perf_counter()
            if self.compiled is None:
                self.compiled, self.first = now, self.search.done
            self._show(now)
            if now - saved >= SAVE_SECONDS:
                self.search.save()
                saved = time.perf_counter()

    def _report(self) -> None:
        # Here and not above: they need packages that not everybody has installed.
        from hopgym.search.output import refine_minima, write_results

        search = self.search
        refined = refine_minima(search, self.keep)
        write_results(search, refined)
        unit = search.unit
        count = len(search.pool.minima)
        self._say(
            f"{search.system.name}: {count:,} distinct minima, {search.evaluations:,} "
            f"search and {search.quench_evaluations:,} quench evaluations, "
            f"{format_duration(search.seconds)}"
        )
        for rank, entry in enumerate(refined.minima, 1):
            print(
                f"{rank:3}  {entry.energy:14.6f} {unit}  {entry.symmetry:8} "
                f"{len(entry.starts):6,} of {search.plan.starts:,} starts"
            )
        sys.stdout.flush()
        self._say(f"structures, tables and report.html in {search.folder.path}")

    def _show(self, now: float) -> None:
        if now - self.shown < (0.1 if self.live else PAUSE):
            return
        self.shown = now
        search = self.search
        left = "?"
        if search.done > self.first and self.compiled is not None:
            rate = (now - self.compiled) / (search.done - self.first)
            seconds = rate * (search.plan.steps - search.done)
            seconds = min(seconds, max(self.stop.seconds_left, 0))
            left = format_duration(seconds)
        best = (
            f"{search.curve[-1][1]:.4f} {search.unit}" if search.curve else "none yet"
        )
        text = (
            f"{search.system.name}  {search.done:,}/{search.plan.steps:,} steps  "
            f"best {best}  {len(search.pool.minima):,} minima  {left} left"
        )
        sys.stderr.write(f"\r\x1b[K{text}" if self.live else f"{text}\n")
        sys.stderr.flush()

    def _say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def _chosen(
    given: dict[str, Any], path: Path | None, resume: bool
) -> tuple[Plan, SearchFolder]:
    """The plan, and the folder in which its search is or will be.

    **Raises:** `ValueError` or `KeyError` for what makes no sense, among it a folder
    with another search, or none to resume.
    """
    if path is None:
        path = Path("searches") / plan(given).system
    folder = SearchFolder(path)
    if not folder.holds_a_search:
        if resume:
            raise ValueError(f"{path} holds no search to resume")
        return plan(given), folder
    stored = folder.plan()
    asked = resumed(given, stored) if resume else plan(given)
    changed = differences(stored, asked)
    if changed:
        raise ValueError(
            f"{path} holds another search ({changed}): choose another --out"
        )
    return stored, folder
