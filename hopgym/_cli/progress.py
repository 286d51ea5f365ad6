"""What a command shows of its progress."""

from __future__ import annotations

import shutil
import sys
import time
from io import TextIOBase
from typing import TextIO

import numpy as np

from hopgym._cli.arguments import format_duration

BAR_WIDTH = 10


def say(text: str) -> None:
    """Print a line to the standard error stream."""
    print(text, file=sys.stderr, flush=True)


class Bar:
    """Progress of one search: in place on a terminal, otherwise an occasional line.

    **Arguments:**

    - `label`: text in front of the bar.
    - `starts`, `steps`: size of the search.
    - `stream`: stream to write to.
    """

    def __init__(
        self, label: str, starts: int, steps: int, stream: TextIOBase | TextIO
    ):
        self.label = label
        self.starts = starts
        self.steps = steps
        self.stream = stream
        self.live = stream.isatty()
        self.pause = 0.1 if self.live else 30.0
        self.shown = time.perf_counter()
        self.first: tuple[int, float] | None = None

    def announce(self, stage: str) -> None:
        """Show the name of a stage that has started."""
        if self.live:
            self._draw(f"{self.label}  {stage} ...")

    def update(self, done: int, best: np.ndarray) -> None:
        """Show progress, unless it was just shown.

        **Arguments:**

        - `done`: number of completed steps.
        - `best`: best energy of each start so far.
        """
        now = time.perf_counter()
        if self.first is None:  # compilation is over, the clock starts
            self.first = done, now
            self.shown = now
            return
        if now - self.shown < self.pause:
            return
        self.shown = now
        per_second = (done - self.first[0]) / max(now - self.first[1], 1e-9)
        left = format_duration((self.steps - done) / per_second)
        full = round(BAR_WIDTH * done / self.steps)
        self._draw(
            f"{self.label} [{'#' * full}{'.' * (BAR_WIDTH - full)}] "
            f"{done:,}/{self.steps:,} {left} left  best {np.min(best):.2f} "
            f"mean {np.mean(best):.2f}  {format_rate(per_second * self.starts)}"
        )

    def clear(self) -> None:
        """Remove the bar from the terminal."""
        if self.live:
            self.stream.write("\r\x1b[K")
            self.stream.flush()

    def _draw(self, text: str) -> None:
        if self.live:
            # A bar of more than one line could not be overwritten.
            width = shutil.get_terminal_size().columns - 1
            text = f"\r\x1b[K{text[:width]}"
        else:
            text += "\n"
        self.stream.write(text)
        self.stream.flush()


def format_rate(per_second: float) -> str:
    """Format evaluations per second, in thousands if 10,000 or more."""
    if per_second >= 1e4:
        return f"{per_second / 1e3:,.0f}k eval/s"
    return f"{per_second:,.0f} eval/s"
