"""Files that hold a pytree of arrays: one line of JSON (the header), then the arrays.

Random keys are stored as their data.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from pathlib import Path
from types import MappingProxyType
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from hopgym._atomic_write import atomic_write
from hopgym._keys import unwrap_keys
from hopgym._schema import Schema, check

FORMAT = "hopgym-1"
OWN_ENTRIES = {"format", "sha256"}  # of headers, written by `write`
NO_SCHEMA: Schema = MappingProxyType({})


def write(
    path: str | Path, header: dict[str, Any], tree: PyTree, *, exclusive: bool = False
) -> None:
    """Write a header and the arrays of a pytree to a file, atomically.

    **Raises:** `OSError` if it cannot be written, or with `exclusive` if it exists.
    """
    content = io.BytesIO()
    eqx.tree_serialise_leaves(content, unwrap_keys(tree)[0])
    body = content.getvalue()
    head = {"format": FORMAT, **header, "sha256": hashlib.sha256(body).hexdigest()}
    atomic_write(
        Path(path), json.dumps(head).encode() + b"\n" + body, exclusive=exclusive
    )


def read_header(path: str | Path, schema: Schema = NO_SCHEMA) -> dict[str, Any]:
    """Read the header of a file that `write` wrote.

    **Arguments:**

    - `path`: path of the file.
    - `schema`: entries that the header must have; it may have others.

    **Raises:** `ValueError` if the file has another format, is damaged or does not fit
    the schema; `OSError` if it cannot be read.
    """
    header, _ = _read_parts(Path(path))
    check(header, schema, str(path))
    return header


def peek_header(path: str | Path) -> dict[str, Any]:
    """Read the header alone, without a check of the rest.

    **Raises:** `ValueError` if it is damaged; `OSError` if it cannot be read.
    """
    with Path(path).open("rb") as stream:
        return _parse_header(Path(path), stream.readline())


def check_size(path: str | Path, least: int) -> None:
    """Check that a file is not too short for what its header promises.

    To be called before arrays of that size are allocated.

    **Arguments:**

    - `path`: path of the file.
    - `least`: number of bytes that its arrays have at least.

    **Raises:** `ValueError` if it is shorter.
    """
    size = Path(path).stat().st_size
    if size < least:
        raise ValueError(
            f"{path} is damaged: its arrays need {least:,} bytes, and it has {size:,}"
        )


def read(path: str | Path, like: PyTree) -> PyTree:
    """Read the arrays of a file into a pytree with the structure of `like`.

    **Raises:** as `read_header`, and `ValueError` if shapes or dtypes differ from those
    of `like`.
    """
    path = Path(path)
    _, body = _read_parts(path)
    content = io.BytesIO(body)
    plain, wrap = unwrap_keys(like)
    if _count_bytes(plain) > len(body):
        raise ValueError(
            f"{path}: its arrays do not fit this architecture (fewer than expected)"
        )
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
    header = _parse_header(path, line)
    if hashlib.sha256(body).hexdigest() != header.get("sha256"):
        raise ValueError(f"{path} is damaged: its checksum does not match")
    return header, body


def parse_json(content: bytes) -> Any:
    """Parse JSON.

    **Raises:** `ValueError` for anything else, or too many levels of nesting.
    """
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("too many levels of nesting") from error


def _parse_header(path: Path, line: bytes) -> dict[str, Any]:
    try:
        header = parse_json(line)
        known = header["format"] == FORMAT
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a file of hopgym, or is damaged") from error
    if not known:
        raise ValueError(
            f"{path} has the format {header['format']!r}; this version of hopgym reads "
            f"{FORMAT!r}"
        )
    return header


def _count_bytes(tree: PyTree) -> int:
    leaves = [x for x in jax.tree.leaves(tree) if hasattr(x, "shape")]
    return sum(math.prod(x.shape) * jnp.dtype(x.dtype).itemsize for x in leaves)
