"""Files that hold a pytree of arrays: one line of JSON (the header), then the arrays.

Random keys are stored as their data.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Set
from pathlib import Path
from typing import Any

import equinox as eqx
from jaxtyping import PyTree

from hopgym._atomic_write import atomic_write
from hopgym._keys import unwrap_keys

FORMAT = "hopgym-1"
OWN_ENTRIES = {"format", "sha256"}  # of headers, written by `write`


def write(path: str | Path, header: dict[str, Any], tree: PyTree) -> None:
    """Write a header and the arrays of a pytree to a file, atomically.

    **Raises:** `OSError` if it cannot be written.
    """
    content = io.BytesIO()
    eqx.tree_serialise_leaves(content, unwrap_keys(tree)[0])
    body = content.getvalue()
    head = {"format": FORMAT, **header, "sha256": hashlib.sha256(body).hexdigest()}
    atomic_write(Path(path), json.dumps(head).encode() + b"\n" + body)


def read_header(path: str | Path, required: Set[str] = frozenset()) -> dict[str, Any]:
    """Read the header of a file that `write` wrote.

    **Arguments:**

    - `path`: path of the file.
    - `required`: entries that the header must have.

    **Raises:** `ValueError` if the file has another format, is damaged or lacks a
    required entry; `OSError` if it cannot be read.
    """
    header, _ = _read_parts(Path(path))
    missing = required - header.keys()
    if missing:
        raise ValueError(
            f"{path} has no entry {', '.join(sorted(missing))}: it was written by "
            "another version of hopgym, which can resume it"
        )
    return header


def read(path: str | Path, like: PyTree) -> PyTree:
    """Read the arrays of a file into a pytree with the structure of `like`.

    **Raises:** as `read_header`, and `ValueError` if shapes or dtypes differ from those
    of `like`.
    """
    path = Path(path)
    _, body = _read_parts(path)
    content = io.BytesIO(body)
    plain, wrap = unwrap_keys(like)
    try:
        tree = eqx.tree_deserialise_leaves(content, plain)
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"{path}: its arrays do not fit this architecture ({reason})"
        ) from error
    if content.read(1):
        raise ValueError(
            f"{path}: its arrays do not fit this architecture (more than expected)"
        )
    return wrap(tree)


def _read_parts(path: Path) -> tuple[dict[str, Any], bytes]:
    line, _, body = path.read_bytes().partition(b"\n")
    try:
        header = json.loads(line)
        known = header["format"] == FORMAT
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a file of hopgym, or is damaged") from error
    if not known:
        raise ValueError(
            f"{path} has the format {header['format']!r}; this version of hopgym reads "
            f"{FORMAT!r}"
        )
    if hashlib.sha256(body).hexdigest() != header.get("sha256"):
        raise ValueError(f"{path} is damaged: its checksum does not match")
    return header, body
