"""Stopping a command early: by a signal or a time limit."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether a command should stop at the next safe point.

    Within a `with` block, the first SIGINT or SIGTERM requests a stop and the second
    raises `KeyboardInterrupt`.

    ```python
    with StopRequest(time_limit) as stop:
        while not done and not stop():
            ...
    print(stop.reason)
    ```

    **Arguments:**

    - `time_limit`: seconds from now; `None` for no limit.
    """

    def __init__(self, time_limit: float | None = None):
        self.time_limit = time_limit
        self.signalled = False
        self._started = time.perf_counter()
        self._handlers: list[Any] = []

    def __enter__(self) -> StopRequest:
        self._handlers = [signal.signal(number, self._note) for number in SIGNALS]
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in zip(SIGNALS, self._handlers, strict=True):
            signal.signal(number, handler)

    def __call__(self) -> bool:
        return self.signalled or self.seconds_left <= 0

    @property
    def seconds_left(self) -> float:
        """Seconds until the time limit; infinite without one."""
        if self.time_limit is None:
            return float("inf")
        return self.time_limit - (time.perf_counter() - self._started)

    @property
    def reason(self) -> str:
        """Why the command stops, as text."""
        return "stopped" if self.signalled else "time limit reached"

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signalled:
            raise KeyboardInterrupt
        self.signalled = True


def run_interruptibly(work: Callable[[], T]) -> T:
    """Run `work()` in a thread, so that Ctrl-C takes effect while JAX computes."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future.result()
