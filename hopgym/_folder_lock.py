"""The lock of a folder: at most one process writes to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

LOCK = ".lock"  # a file that stays; the operating system holds the lock


class InUse(ValueError):
    """Another process holds the lock of a folder."""


@contextlib.contextmanager
def lock_folder(path: Path) -> Iterator[None]:
    """Create a folder unless it exists, and lock it within a `with` block.

    The lock ends with the process, however that ends.

    **Raises:** `InUse` if another process holds the lock; `OSError` if the folder
    cannot be created or written to.
    """
    if path.exists() and not path.is_dir():
        raise OSError(f"cannot write to {path}: it is not a folder")
    lock = FileLock(path / LOCK, timeout=0)
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise InUse(
            f"another process uses {path}: wait until it has ended, or choose another "
            "folder"
        ) from None
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise OSError(f"cannot write to {path}: {reason}") from error
    try:
        yield
    finally:
        lock.release()
