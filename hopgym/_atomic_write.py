"""Atomic replacement of files: readers see the old content or the new one."""

from __future__ import annotations

import os
from pathlib import Path


def atomic_write(path: Path, content: bytes | str) -> None:
    """Write a file atomically, replacing an existing one.

    **Raises:** `OSError` if it cannot be written; an existing file is then unchanged.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
