"""Cells as JSON: which values their columns may have."""

from __future__ import annotations

from typing import Any

from hopgym._cli.arguments import MAX_COUNT, MAX_STARTS
from hopgym._schema import (
    OBJECT,
    TEXT,
    Schema,
    check,
    choice,
    integer,
    list_of,
    nullable,
    number,
    object_of,
    optional,
)
from hopgym._serialisation import parse_json
from hopgym.evaluation.columns import COLUMNS, ESSENTIAL, Cell

OTHER_COLUMNS: Schema = {
    "system": TEXT,
    "optimizer": TEXT,
    "starts": integer(1, MAX_STARTS),
    "steps": integer(1, MAX_COUNT),
    "seed": integer(0, MAX_COUNT),
    "dtype": choice("float32", "float64"),
    "protocol": optional(nullable(integer(1))),
    "reference_source": optional(nullable(TEXT)),
    "settings": optional(nullable(OBJECT)),
    "grid": optional(nullable(OBJECT)),
    "energies": optional(nullable(list_of(nullable(number())))),
    "first_hit": optional(nullable(list_of(integer(-1)))),
    "curve": optional(
        nullable(
            list_of(object_of({"evaluations": integer(), "mean": nullable(number())}))
        )
    ),
    "date": optional(nullable(TEXT)),
    "host": optional(nullable(OBJECT)),
    "key": OBJECT,
}
SCHEMA: Schema = {
    column.name: OTHER_COLUMNS.get(column.name, optional(nullable(number())))
    for column in COLUMNS
}


def parse_cell(content: bytes, source: str) -> Cell:
    """Parse a cell from JSON.

    **Raises:** `ValueError` if it is not a cell, or lacks essential columns.
    """
    cell = parse_object(content, source)
    if not isinstance(cell.get("key"), dict):
        raise ValueError(f"{source} is incomplete")
    if not {*ESSENTIAL} <= cell.keys() & cell["key"].keys():
        raise ValueError(f"{source} is incomplete")
    check(cell, SCHEMA, source)
    check(cell["key"], {name: SCHEMA[name] for name in ESSENTIAL}, f"{source}: key")
    for name in ("energies", "first_hit"):
        if cell.get(name) is not None and len(cell[name]) != cell["starts"]:
            raise ValueError(f"{source} is incomplete")
    return cell


def parse_object(content: bytes, source: str) -> dict[str, Any]:
    """Parse an object from JSON.

    **Raises:** `ValueError` for anything else.
    """
    try:
        found = parse_json(content)
    except ValueError as error:
        raise ValueError(f"{source} is broken") from error
    if not isinstance(found, dict):
        raise ValueError(f"{source} is broken")
    return found
