"""Files of measurements: rows, and their provenance."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hopgym._atomic_write import atomic_write
from hopgym._cli.provenance import describe_run
from hopgym._schema import OBJECT, Schema, check, list_of
from hopgym._serialisation import parse_json

SCHEMA: Schema = {"rows": list_of(OBJECT)}
DEFAULT_FOLDER = Path("results/speed")
OUT_HELP = f"a folder, or a file that ends in .json; default {DEFAULT_FOLDER}"


def choose_path(out: Path, name: str) -> Path:
    """Choose the file to write: `out` if it ends in .json, else `name` in that folder.

    Creates the folder.

    **Raises:** `ValueError` if it cannot be created or written to, or holds anything
    but a measurement.
    """
    path = out if out.suffix == ".json" else out / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise ValueError(f"cannot write to {path.parent}: {error.strerror}") from None
    if path.is_dir():
        raise ValueError(f"cannot write {path}: it is a folder")
    if path.exists():  # replaced by the new measurement
        read_rows(path)
    return path


def write_rows(
    path: Path, command: str, rows: list[dict[str, Any]], **meta: Any
) -> None:
    """Write rows and their provenance, and print the path."""
    save_rows(path, command, rows, **meta)
    print(f"{path} written")


def save_rows(
    path: Path, command: str, rows: list[dict[str, Any]], **meta: Any
) -> None:
    """Write rows and their provenance."""
    meta = {**describe_run(command), **meta}
    atomic_write(path, json.dumps({"meta": meta, "rows": rows}, indent=1) + "\n")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a file.

    **Raises:** `OSError` if it cannot be read; `ValueError` if it is damaged.
    """
    try:
        found = parse_json(path.read_bytes())
        check(found, SCHEMA, str(path))
    except ValueError:
        raise ValueError(f"{path} is damaged, or no file of measurements") from None
    return found["rows"]
