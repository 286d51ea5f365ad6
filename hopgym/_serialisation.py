"""Pytrees of arrays in one file: a header in JSON on the first line, then the arrays.

Random keys are stored as their data.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import equinox as eqx
from jaxtyping import PyTree

from hopgym._atomic_write import atomic_write
from hopgym._keys import unwrap_keys

FORMAT = "hopgym-1"


def write(path: str | Path, header: dict[str, Any], tree: PyTree) -> None:
    """Write a file so that it is there whole or not at all.

    **Raises:** `OSError` if it cannot be written.
    """
    content = io.BytesIO()
    eqx.tree_serialise_leaves(content, unwrap_keys(tree)[0])
    body = content.getvalue()
    head = {"format": FORMAT, **header, "sha256": hashlib.sha256(body).hexdigest()}
    atomic_write(Path(path), json.dumps(head).encode() + b"\n" + body)


def read_header(path: str | Path) -> dict[str, Any]:
    """The first line of a file that `write` wrote.

    **Raises:** `ValueError` if it is none or is not whole; `OSError` if it cannot be
    read.
    """
    return _parts(Path(path))[0]


def read(path: str | Path, like: PyTree) -> PyTree:
    """The arrays of a file, in a tree with those shapes and dtypes.

    **Raises:** as `read_header`, and `ValueError` for arrays of other shapes.
    """
    path = Path(path)
    _, body = _parts(path)
    content = io.BytesIO(body)
    plain, wrap = unwrap_keys(like)
    try:
        tree = eqx.tree_deserialise_leaves(content, plain)
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"{path}: the arrays in it are not those of this architecture ({reason})"
        ) from error
    if content.read(1):
        raise ValueError(
            f"{path}: the arrays in it are not those of this architecture (more than "
            "expected)"
        )
    return wrap(tree)


def _parts(path: Path) -> tuple[dict[str, Any], bytes]:
    line, _, body = path.read_bytes().partition(b"\n")
    try:
        header = json.loads(line)
        known = header["format"] == FORMAT
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a file of hopgym, or not whole") from error
    if not known:
        raise ValueError(
            f"{path} has the format {header['format']!r}; this hopgym reads {FORMAT!r}"
        )
    if hashlib.sha256(body).hexdigest() != header.get("sha256"):
        raise ValueError(f"{path} is damaged or not whole: its checksum is another")
    return header, body
