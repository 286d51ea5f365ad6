"""A progress bar: in place on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import shutil
import time
from typing import TextIO

import numpy as np

from hopgym._cli.arguments import format_duration

BAR_WIDTH = 10


class Bar:
    """Progress of one search.

    **Arguments:**

    - `label`: what is running.
    - `starts`, `steps`: its size.
    - `stream`: where the bar goes.
    """

    def __init__(self, label: str, starts: int, steps: int, stream: TextIO):
        self.label = label
        self.starts = starts
        self.steps = steps
        self.stream = stream
        self.live = stream.isatty()
        self.pause = 0.1 if self.live else 30.0
        self.shown = time.perf_counter()
        self.first: tuple[int, float] | None = None

    def announce(self, stage: str) -> None:
        """Name the stage that begins."""
        if self.live:
            self._draw(f"{self.label}  {stage} ...")

    def update(self, done: int, best: np.ndarray) -> None:
        """Show `done` steps and the best energies so far, unless it was just shown."""
        now = time.perf_counter()
        if self.first is None:  # compilation ends here, the clock starts
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
        """Take the bar off the terminal."""
        if self.live:
            self.stream.write("\r\x1b[K")
            self.stream.flush()

    def _draw(self, text: str) -> None:
        if self.live:
            # A bar of more than one line could not be drawn over.
            width = shutil.get_terminal_size().columns - 1
            text = f"\r\x1b[K{text[:width]}"
        else:
            text += "\n"
        self.stream.write(text)
        self.stream.flush()


def format_rate(per_second: float) -> str:
    """Evaluations per second, from 10,000 on in thousands."""
    if per_second >= 1e4:
        return f"{per_second / 1e3:,.0f}k eval/s"
    return f"{per_second:,.0f} eval/s"
