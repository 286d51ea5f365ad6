"""The process of a command: its signals, its output and its exit code.

Imports the standard library only, so that it can be used before JAX is imported.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import NoReturn, TextIO

from hopgym._cli.interrupt import leave_on_signals


def run(main: Callable[[], int]) -> NoReturn:
    """Run a command, and exit with the code that it returns.

    A reader of the output who has gone is no error. If output cannot be written for
    another reason, such as a full disk, a line says so and the exit code is 1.
    """
    prepare()
    try:
        code = main()
    except SystemExit as error:
        code = error.code
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    failure = next((raw.failure for raw, _ in _outputs if raw.failure), None)
    if failure is not None:
        print(f"error: cannot write output: {failure.strerror}", file=sys.stderr)
        code = code or 1
    sys.exit(code)


def prepare() -> None:
    """Handle signals and the errors of output, once per process."""
    leave_on_signals()
    if not _outputs:
        _replace_closed_descriptors()
        sys.stdout = _protect(sys.stdout)
        sys.stderr = _protect(sys.stderr)


class _Output(io.FileIO):
    """A descriptor that swallows what it cannot write, and remembers why."""

    lost = False
    failure: OSError | None = None  # other than that the reader has gone

    def write(self, data, /) -> int | None:
        if not self.lost:
            try:
                return super().write(data)
            except BrokenPipeError:
                self.lost = True
            except OSError as error:
                self.lost, self.failure = True, error
        return memoryview(data).nbytes


# With the streams that they replace, which would close descriptors when they go.
_outputs: list[tuple[_Output, TextIO]] = []


def _replace_closed_descriptors() -> None:
    """Open closed standard streams, whose numbers files would get otherwise."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number


def _protect(stream: TextIO | None) -> TextIO:
    """The same stream, but undecodable names and errors of output do no harm."""
    if stream is None:  # it was closed
        stream = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
    raw = _Output(stream.fileno(), "w", closefd=False)
    _outputs.append((raw, stream))
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=bool(
            stream.line_buffering or getattr(stream, "write_through", False)
        ),
    )
