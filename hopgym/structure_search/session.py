"""A run of a search: progress, checkpoints, the report and the exit code."""

from __future__ import annotations

import shlex
import sys
import time

from ase.calculators.calculator import CalculationFailed

from hopgym._cli.arguments import describe_error, format_duration
from hopgym._cli.interrupt import StopRequest
from hopgym._cli.progress import say
from hopgym.calculators import CalculatorUnavailable
from hopgym.structure_search.output import list_minima, refine_minima, write_results
from hopgym.structure_search.search import Search

SAVE_SECONDS = 5.0  # between checkpoints
LINE_SECONDS = 10.0  # between lines of progress if there is no terminal
REFRESH_SECONDS = 0.1  # between updates of the progress on a terminal


class Session:
    """Runs a search until it is done or stopped, and writes its report.

    **Arguments:**

    - `search`: the search.
    - `keep`: number of minima to report.
    - `stop`: whether to stop early.
    - `options`: of the command, which the plan does not contain.
    """

    def __init__(self, search: Search, keep: int, stop: StopRequest, options: str = ""):
        self.search = search
        self.keep = keep
        self.stop = stop
        self.options = options
        self.saved = time.perf_counter()
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
        except (CalculationFailed, CalculatorUnavailable) as error:
            search.save()
            say(f"error: {describe_error(error)}")
            self._report()
            return 1
        except OSError as error:
            say(f"error: cannot write to {folder}: {describe_error(error)}")
            return 1
        if search.finished:
            return 0
        say(
            f"{self.stop.reason} after step {search.done:,} of {search.plan.steps:,}; "
            f"resume with: python -m hopgym.search --out {shlex.quote(str(folder))} "
            f"--resume{self.options}"
        )
        return 1

    def _search(self) -> None:
        while not self.search.finished and not self.stop():
            self.search.advance(self._tick)
            if self.compiled is None:
                self.compiled, self.first = time.perf_counter(), self.search.done
            self._tick()

    def _tick(self) -> bool:
        """Show progress, save, and return whether to stop; within chunks, too."""
        now = time.perf_counter()
        self._show(now)
        if now - self.saved >= SAVE_SECONDS:
            self.search.save()
            self.saved = time.perf_counter()
        return self.stop()

    def _report(self) -> None:
        search = self.search
        if search.walks.is_costly and not search.finished:
            refined = list_minima(search, self.keep)
            say("these are minima as they were met; a finished search refines them")
        else:
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
        text = f"{search.describe_progress()}{left}"
        sys.stderr.write(f"\r\x1b[K{text}" if self.live else f"{text}\n")
        sys.stderr.flush()
