"""The results folder: the record of a study, and cells as they finish.

DIR/results.jsonl       the record: a line about the last command, then a line per cell
DIR/results.csv         the numbers in the last table
DIR/cells/CELL.json     cells, written as soon as they finish
DIR/failed/CELL.txt     tracebacks of failed cells
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.cells import parse_cell, parse_object
from hopgym._atomic_write import atomic_write
from hopgym.evaluation.columns import Cell, format_csv

RECORD = "results.jsonl"
TABLE = "results.csv"


def format_file_name(text: str) -> str:
    """Replace the characters of `text` that file systems reject."""
    return re.sub(r"[^\w.+-]+", "_", text)


def format_stem(key: dict[str, Any]) -> str:
    """File name of a cell, without the suffix."""
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    budget = f"{key['starts']}x{key['steps']}"
    parts = (key["system"], key["optimizer"], budget, f"seed{key['seed']}")
    return format_file_name("__".join((*parts, key["dtype"], digest[:8])))


def read_record(folder: Path) -> tuple[list[Cell], list[str]]:
    """Read the cells in `results.jsonl`, and a complaint for each damaged line."""
    path = folder / RECORD
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    cells, complaints = [], []
    for number, line in enumerate(lines, 1):
        source = f"line {number} of {RECORD}"
        try:
            if number == 1:
                _check_head(line, source)
            elif line.strip():
                cells.append(parse_cell(line, source))
        except ValueError as error:
            complaints.append(str(error))
    return cells, complaints


def read_sound_record(folder: Path) -> list[Cell]:
    """Read the cells in `results.jsonl`.

    **Raises:** `ValueError`, which names the folder, if a line is damaged or there is
    no cell.
    """
    cells, complaints = read_record(folder)
    if complaints or not cells:
        why = complaints[0] if complaints else "there are no results"
        raise ValueError(f"{folder}: {why}")
    return cells


class Store:
    """A results folder, with the cells of the record and those in `cells`.

    If both have a cell with the same key, the one in `cells` counts. Whoever writes to
    the folder holds its lock, see `hopgym._folder_lock`.

    **Raises:** `ValueError` if the folder has files of unknown origin that would be
    overwritten; `OSError` if it cannot be read.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.cells = folder / "cells"
        self.failed = folder / "failed"
        recorded, self.complaints = read_record(folder)
        self._check_origin(bool(recorded))
        self._recorded = {format_stem(cell["key"]): cell for cell in recorded}

    def _check_origin(self, has_cells: bool) -> None:
        record = self.folder / RECORD
        if record.exists() and not has_cells:
            with record.open("rb") as stream:
                try:
                    _check_head(stream.readline(), f"{record}: line 1")
                except ValueError as error:
                    raise ValueError(
                        f"{error}, and it has no cells: move it, or choose another "
                        "folder"
                    ) from error
        if (self.folder / TABLE).exists() and not (
            record.exists() or self.cells.exists()
        ):
            raise ValueError(
                f"{self.folder} holds {TABLE} but no {RECORD}, and would be "
                "overwritten: choose another folder"
            )

    def load(self, key: dict[str, Any]) -> Cell | None:
        """Load the finished cell with a key; `None` if there is none.

        **Raises:** `ValueError` if the file of the cell is damaged.
        """
        stem = format_stem(key)
        path = self.cells / f"{stem}.json"
        cell = _read_cell(path) if path.exists() else self._recorded.get(stem)
        if cell is not None and cell["key"] != key:
            raise ValueError(f"{path.name} holds another cell")
        return cell

    def load_all(self) -> tuple[list[Cell], list[str]]:
        """Load all finished cells, and a complaint for each damaged one.

        Cells of the record come first, in its order, then all others, oldest first.
        """
        recorded, complaints = read_record(self.folder)
        finished = {}
        for path in sorted(self.cells.glob("*.json")):
            try:
                finished[path.stem] = _read_cell(path)
            except ValueError as error:
                complaints.append(str(error))
        cells = []
        for cell in recorded:
            cells.append(finished.pop(format_stem(cell["key"]), cell))
        cells += sorted(finished.values(), key=lambda cell: cell.get("date") or "")
        return cells, complaints

    def save(self, cell: Cell) -> None:
        """Save a finished cell."""
        stem = format_stem(cell["key"])
        self.cells.mkdir(exist_ok=True)
        atomic_write(self.cells / f"{stem}.json", json.dumps(cell))
        (self.failed / f"{stem}.txt").unlink(missing_ok=True)

    def save_failure(self, stem: str, text: str) -> Path:
        """Save the traceback of a failed cell, and return its path."""
        self.failed.mkdir(exist_ok=True)
        path = self.failed / f"{format_file_name(stem)}.txt"
        atomic_write(path, text)
        return path

    def save_record(
        self,
        meta: dict[str, Any],
        cells: Sequence[Cell],
        failures: Sequence[dict[str, str]] = (),
    ) -> None:
        """Write `results.jsonl`.

        **Arguments:**

        - `meta`: provenance of the command.
        - `cells`: the cells of the command; they are written in this order after all
          other cells of the folder.
        - `failures`: cells that failed.
        """
        shown = {format_stem(cell["key"]) for cell in cells}
        others = [c for c in self.load_all()[0] if format_stem(c["key"]) not in shown]
        head = {"meta": meta, "failures": list(failures)}
        lines = [json.dumps(entry) for entry in (head, *others, *cells)]
        atomic_write(self.folder / RECORD, "\n".join(lines) + "\n")

    def save_csv(self, cells: Sequence[Cell]) -> None:
        """Write `results.csv` with the numbers of some cells."""
        atomic_write(self.folder / TABLE, format_csv(cells))


def _read_cell(path: Path) -> Cell:
    return parse_cell(path.read_bytes(), path.name)


def _check_head(content: bytes, source: str) -> None:
    if "meta" not in parse_object(content, source):
        raise ValueError(f"{source} is incomplete")
