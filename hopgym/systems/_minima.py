"""Tables of lowest known energies."""

from __future__ import annotations

import csv
import importlib.resources


def read_minima(name: str) -> list[dict[str, str]]:
    """Read the rows of a table in `hopgym/data`, without its comments."""
    table = importlib.resources.files("hopgym") / "data" / name
    lines = [line for line in table.read_text().splitlines() if line[0] != "#"]
    return list(csv.DictReader(lines))
