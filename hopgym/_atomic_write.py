"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def atomic_write(path: Path, content: bytes | str) -> None:
    """Replace a file.

    **Raises:** `OSError` if it cannot be written; what was there is kept.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
