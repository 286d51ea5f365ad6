"""The command `python -m hopgym.search`."""

from __future__ import annotations

import contextlib
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hopgym._cli.arguments import describe_error, format_duration
from hopgym._cli.devices import use_all_cores
from hopgym._cli.interrupt import StopRequest
from hopgym._cli.progress import say
from hopgym._cli.provenance import describe_run, format_command
from hopgym._folder_lock import lock_folder
from hopgym.structure_search.command_line import (
    check_extras,
    make_parser,
    make_plan,
    update_plan,
)
from hopgym.structure_search.plan import Plan, describe_differences
from hopgym.structure_search.search import Search
from hopgym.structure_search.search_folder import SearchFolder

KEEP = 10  # minima to report
SAVE_SECONDS = 5.0  # between checkpoints
LINE_SECONDS = 10.0  # between lines of progress if there is no terminal
REFRESH_SECONDS = 0.1  # between updates of the progress on a terminal


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0: all steps were done. 1: stopped early, by the time limit, a signal or an error.
    2: invalid arguments; nothing was changed. 130 or 143: left at once, by a second
    signal or by one before the search began; it can be resumed from the last
    checkpoint.
    """
    options = make_parser()
    given = vars(options.parse_args(arguments))
    resume = given.pop("resume", False)
    keep, limit = given.pop("keep", KEEP), given.pop("time_limit", None)
    with contextlib.ExitStack() as stack:
        try:
            check_extras()
            use_all_cores()
            path = given.pop("out", None)
            if path is None:
                path = Path("searches") / make_plan(given).system
            is_new = not path.is_dir()
            if not is_new:
                stack.enter_context(lock_folder(path))
            plan, folder = _choose_plan(given, path, resume)
            command = format_command("python -m hopgym.search", arguments)
            search = Search(plan, folder, describe_run(command, ["ase"]))
            if is_new:  # nothing is created for invalid arguments
                stack.enter_context(lock_folder(path))
                folder.check_is_free()
            if folder.has_search:
                search.restore()
            else:
                search.save()
        except (KeyError, ValueError, OSError) as error:
            options.fail(error)
        return Command(search, keep, StopRequest(limit)).run()


class Command:
    """Runs a search until it is done or stopped, and writes its report."""

    def __init__(self, search: Search, keep: int, stop: StopRequest):
        self.search = search
        self.keep = keep
        self.stop = stop
        self.first = search.done
        self.compiled: float | None = None
        self.live = sys.stderr.isatty()
        self.shown = -1e9

    def run(self) -> int:
        """Search, report, and return the exit code."""
        search = self.search
        folder = search.folder.path
        if self.first:
            say(f"resuming after step {self.first:,}")
        if not search.finished:
            search.compile()
        try:
            with self.stop:
                self._search()
                search.save()
                if self.live:
                    sys.stderr.write("\r\x1b[K")
                if self.stop.signalled:
                    say("saved; the report follows")
                self._report()
        except OSError as error:
            say(f"error: cannot write to {folder}: {describe_error(error)}")
            return 1
        if search.finished:
            return 0
        say(
            f"{self.stop.reason} after step {search.done:,} of {search.plan.steps:,}; "
            f"resume with: python -m hopgym.search --out {shlex.quote(str(folder))} "
            "--resume"
        )
        return 1

    def _search(self) -> None:
        saved = time.perf_counter()
        while not self.search.finished and not self.stop():
            self.search.advance(self.stop)
            now = time.perf_counter()
            if self.compiled is None:
                self.compiled, self.first = now, self.search.done
            self._show(now)
            if now - saved >= SAVE_SECONDS:
                self.search.save()
                saved = time.perf_counter()

    def _report(self) -> None:
        # Imported here, since they need optional packages.
        from hopgym.structure_search.output import refine_minima, write_results

        search = self.search
        refined = refine_minima(search, self.keep)
        write_results(search, refined)
        unit = search.unit
        counts = f"{search.system.name}: {refined.distinct:,} distinct minima"
        if search.fragmented:
            counts += f", {search.fragmented:,} fragmented structures left out"
        say(
            f"{counts}, {search.evaluations:,} search and "
            f"{search.quench_evaluations:,} quench evaluations, "
            f"{format_duration(search.seconds)}"
        )
        for rank, entry in enumerate(refined.minima, 1):
            print(
                f"{rank:3}  {entry.energy:14.6f} {unit}  {entry.symmetry:8} "
                f"{len(entry.starts):6,} of {search.plan.starts:,} starts"
            )
        sys.stdout.flush()
        say(f"structures, tables and report.html in {search.folder.path}")

    def _show(self, now: float) -> None:
        if now - self.shown < (REFRESH_SECONDS if self.live else LINE_SECONDS):
            return
        self.shown = now
        search = self.search
        left = ""
        if search.done > self.first and self.compiled is not None:
            rate = (now - self.compiled) / (search.done - self.first)
            seconds = rate * (search.plan.steps - search.done)
            seconds = min(seconds, max(self.stop.seconds_left, 0))
            left = f"  {format_duration(seconds)} left"
        best = (
            f"{search.curve[-1][1]:.4f} {search.unit}" if search.curve else "none yet"
        )
        text = (
            f"{search.system.name}  {search.done:,}/{search.plan.steps:,} steps  "
            f"best {best}  {len(search.pool.minima):,} minima{left}"
        )
        sys.stderr.write(f"\r\x1b[K{text}" if self.live else f"{text}\n")
        sys.stderr.flush()


def _choose_plan(
    given: dict[str, Any], path: Path, resume: bool
) -> tuple[Plan, SearchFolder]:
    """The plan of a new search or of the one to be resumed, and its folder.

    **Raises:** `ValueError` or `KeyError` for invalid options, a folder that holds
    another search, or one that holds none to resume.
    """
    folder = SearchFolder(path)
    if not folder.has_search:
        if resume:
            raise ValueError(f"{path} holds no search to resume")
        folder.check_is_free()
        return make_plan(given), folder
    stored = folder.read_plan()
    requested = update_plan(stored, given) if resume else make_plan(given)
    differences = describe_differences(stored, requested)
    if differences:
        raise ValueError(
            f"{path} holds another search ({differences}): choose another --out"
        )
    return stored, folder
