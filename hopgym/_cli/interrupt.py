"""Ending a command before it is done: by a signal or a time limit."""

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

    Within a `with` block the first SIGINT or SIGTERM is noted, and the second raises
    `KeyboardInterrupt`.

    ```python
    with StopRequest(time_limit) as stop:
        while not done and not stop():
            ...
    print(stop.reason)
    ```

    **Arguments:**

    - `time_limit`: in seconds from now; `None` for no limit.
    """

    def __init__(self, time_limit: float | None = None):
        self.time_limit = time_limit
        self.signalled = False
        self._began = time.perf_counter()
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
        """Time until the limit, infinite without one."""
        if self.time_limit is None:
            return float("inf")
        return self.time_limit - (time.perf_counter() - self._began)

    @property
    def reason(self) -> str:
        """Why to stop, in words."""
        return "stopped" if self.signalled else "time limit reached"

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signalled:
            raise KeyboardInterrupt
        self.signalled = True


def run_interruptibly(work: Callable[[], T]) -> T:
    """`work()` in a thread, so that Ctrl-C is noticed while JAX computes."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future.result()
