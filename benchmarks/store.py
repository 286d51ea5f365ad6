"""The results folder: one file for each finished cell, written in one piece.

OUT/cells/<cell>.json   finished cells, of this and of earlier commands
OUT/failed/<cell>.txt   tracebacks of cells that failed
OUT/results.json, results.csv and figures: the cells of the last command
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

from hopgym._atomic_write import atomic_write

SCALARS = (
    "system",
    "optimizer",
    "starts",
    "steps",
    "seed",
    "dtype",
    "min",
    "mean",
    "mean_error",
    "hits",
    "hit_rate",
    "hit_rate_low",
    "hit_rate_high",
    "evaluations_to_hit",
    "final_min",
    "final_mean",
    "final_mean_error",
    "evaluations",
    "evaluations_post",
    "seconds",
    "seconds_post",
    "compile_seconds",
    "faults",
    "not_converged",
    "reference",
    "tolerance",
)
LISTS = ("energies", "first_hit", "curve")


def file_name(text: str) -> str:
    """`text` with what file systems do not like replaced."""
    return re.sub(r"[^\w.+-]+", "_", text)


class Store:
    """A results folder.

    **Raises:** `OSError` if it cannot be made or written to.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.cells = folder / "cells"
        self.failed = folder / "failed"
        self.cells.mkdir(parents=True, exist_ok=True)
        atomic_write(self.cells / ".probe", "")
        (self.cells / ".probe").unlink()

    def stem(self, key: dict[str, Any]) -> str:
        """File name of a cell, without its ending."""
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        budget = f"{key['starts']}x{key['steps']}"
        parts = (key["system"], key["optimizer"], budget, f"seed{key['seed']}")
        return file_name("__".join((*parts, key["dtype"], digest[:8])))

    def load(self, key: dict[str, Any]) -> dict[str, Any] | None:
        """The finished cell of that key, or `None`.

        **Raises:** `ValueError` if there is a file that is no such cell.
        """
        path = self.cells / f"{self.stem(key)}.json"
        if not path.exists():
            return None
        cell = _read(path)
        if cell["key"] != key:
            raise ValueError(f"{path.name} holds another cell")
        return cell

    def load_all(self) -> tuple[list[dict[str, Any]], list[str]]:
        """All finished cells, oldest first, and complaints about broken files."""
        found, complaints = [], []
        for path in sorted(self.cells.glob("*.json")):
            try:
                found.append(_read(path))
            except ValueError as error:
                complaints.append(str(error))
        found.sort(key=lambda cell: cell.get("date", ""))
        return found, complaints

    def save(self, key: dict[str, Any], cell: dict[str, Any]) -> None:
        """Keep a finished cell."""
        stem = self.stem(key)
        atomic_write(self.cells / f"{stem}.json", json.dumps({**cell, "key": key}))
        (self.failed / f"{stem}.txt").unlink(missing_ok=True)

    def save_failure(self, stem: str, text: str) -> Path:
        """Keep the traceback of a cell that failed."""
        self.failed.mkdir(exist_ok=True)
        path = self.failed / f"{file_name(stem)}.txt"
        atomic_write(path, text)
        return path

    def save_results(
        self,
        meta: dict[str, Any],
        cells: list[dict[str, Any]],
        failures: list[dict[str, str]],
    ) -> None:
        """Write `results.json` and `results.csv`, one cell a line."""
        lines = ",\n".join(json.dumps(cell) for cell in cells)
        head = json.dumps({"meta": meta, "failures": failures}, indent=1)
        text = f'{head[:-2]},\n "cells": [\n{lines}\n]\n}}\n'
        atomic_write(self.folder / "results.json", text)
        table = io.StringIO()
        writer: csv.DictWriter[str] = csv.DictWriter(
            table, SCALARS, extrasaction="ignore", lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(cells)
        atomic_write(self.folder / "results.csv", table.getvalue())


def _read(path: Path) -> dict[str, Any]:
    try:
        cell = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path.name} is broken") from error
    whole = isinstance(cell, dict) and {*SCALARS, *LISTS, "key"} <= cell.keys()
    if not whole or len(cell["energies"]) != cell["starts"]:
        raise ValueError(f"{path.name} is incomplete")
    return cell
