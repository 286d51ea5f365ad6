"""Stopping a command early: by a signal or a time limit.

Imports the standard library only, so that signals are handled before JAX is imported.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from hopgym._atomic_write import WRITING

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SIGNAL_EXIT_CODE = 128  # plus the number of the signal
WRITING_SECONDS = 1.0  # that a file being written delays leaving at once


class OutOfTime(Exception):
    """The time limit has passed."""


class StopRequest:
    """Whether a command should stop at the next safe point.

    Within a `with` block, the first SIGINT or SIGTERM is acknowledged and requests a
    stop, and the second one ends the process at once.

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

    def __enter__(self) -> StopRequest:
        _receiver.start()
        _receiver.request = self
        return self

    def __exit__(self, *_: object) -> None:
        _receiver.request = None
        _receiver.stop()

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


def leave_on_signals() -> None:
    """Let SIGINT and SIGTERM end this process with a message instead of a traceback.

    While a `StopRequest` is active, it decides instead. To be called again after JAX
    has connected processes, from when on it handles SIGTERM.
    """
    _receiver.start(forever=True)


class Farewell:
    """Within a `with` block, the text of the message with which signals end a process.

    **Arguments:**

    - `describe`: returns the text.
    """

    def __init__(self, describe: Callable[[], str]):
        self._describe = describe

    def __enter__(self) -> None:
        _receiver.start()
        _receiver.describe = self._describe

    def __exit__(self, *_: object) -> None:
        _receiver.describe = _describe_nothing
        _receiver.stop()


def _describe_nothing() -> str:
    return "interrupted"


class _Receiver:
    """Receives signals in a thread, since the main one may be busy outside Python."""

    def __init__(self):
        self.request: StopRequest | None = None
        self.describe = _describe_nothing
        self._users = 0
        self._lock = threading.Lock()
        self._sockets: tuple[socket.socket, socket.socket] | None = None
        self._previous: tuple[list[Any], int] | None = None

    def start(self, *, forever: bool = False) -> None:
        """Receive signals, until every user has called `stop`."""
        if self._sockets is None:
            self._sockets = socket.socketpair()
            for end in self._sockets:
                end.setblocking(False)
            threading.Thread(target=self._listen, daemon=True).start()
        if not forever or self._previous is None:
            self._users += 1
        # Also where this was done before: JAX handles SIGTERM from when it connects
        # processes.
        handlers = [signal.signal(number, self._settle) for number in SIGNALS]
        descriptor = signal.set_wakeup_fd(
            self._sockets[1].fileno(), warn_on_full_buffer=False
        )
        if self._previous is None:
            self._previous = handlers, descriptor

    def stop(self) -> None:
        """Restore the earlier handlers if nobody receives signals any more."""
        self._users -= 1
        if self._users == 0 and self._previous is not None:
            handlers, descriptor = self._previous
            self._previous = None
            signal.set_wakeup_fd(descriptor)
            for number, handler in zip(SIGNALS, handlers, strict=True):
                signal.signal(number, handler)

    def _listen(self) -> None:
        assert self._sockets is not None
        receiver = self._sockets[0]
        while True:
            select.select([receiver], [], [])
            with self._lock:
                for number in receiver.recv(64):
                    self._react(number)

    def _settle(self, number: int, frame: FrameType | None) -> None:
        """The handler in the main thread: wait until the thread has reacted."""
        assert self._sockets is not None
        while True:
            with self._lock:
                if not select.select([self._sockets[0]], [], [], 0)[0]:
                    return
            time.sleep(1e-3)

    def _react(self, number: int) -> None:
        if number not in SIGNALS:
            return
        if self.request is None:
            _say(self.describe())
        elif not self.request.signalled:
            self.request.signalled = True
            _say("stopping after this chunk; once more to leave at once")
            return
        WRITING.acquire(timeout=WRITING_SECONDS)
        os._exit(SIGNAL_EXIT_CODE + number)


def _say(text: str) -> None:
    """Print a line, below the progress that a terminal may show.

    Writes to the descriptor: the main thread may be in the middle of writing to the
    stream.
    """
    with contextlib.suppress(OSError):
        os.write(2, f"{chr(10) if os.isatty(2) else ''}{text}\n".encode())


_receiver = _Receiver()
