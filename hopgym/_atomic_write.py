"""Atomic replacement of files: readers see the old content or the new one."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from pathlib import Path

# Held while a file is written: a process that leaves at once waits for it.
WRITING = threading.Lock()


def atomic_write(path: Path, content: bytes | str, *, exclusive: bool = False) -> None:
    """Write a file atomically.

    Characters that UTF-8 cannot encode, as in undecodable names of folders, are written
    as escapes.

    **Arguments:**

    - `path`: path of the file.
    - `content`: its content.
    - `exclusive`: whether an existing file is an error; otherwise it is replaced.

    **Raises:** `OSError` if it cannot be written; an existing file is then unchanged.
    """
    if isinstance(content, str):
        content = content.encode("utf-8", "backslashreplace")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with WRITING:
        try:
            temporary.write_bytes(content)
            if exclusive:
                _link(temporary, path)
            else:
                os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def atomic_save(path: Path, save: Callable[[io.BytesIO], object]) -> None:
    """Write a file atomically with a function that writes to a stream.

    **Raises:** as `atomic_write`.
    """
    content = io.BytesIO()
    save(content)
    atomic_write(path, content.getvalue())


def _link(temporary: Path, path: Path) -> None:
    """Give a file its name unless the name is taken."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        path.touch(exist_ok=False)
        os.replace(temporary, path)
