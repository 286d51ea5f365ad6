"""Printed tables: the optimizers on each system, with the paper's values."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

from hopgym.evaluation import published
from hopgym.evaluation.columns import (
    SHOWN,
    Cell,
    format_energy,
    format_hits,
    format_seconds,
    get_protocol,
)
from hopgym.evaluation.markdown import format_markdown

HEAD = tuple(column.heading or "" for column in SHOWN)
PAPER_HEAD = ("paper min", "paper mean")
SETTINGS = ("system", "starts", "steps", "seed", "dtype")
TARGET = ("reference", "tolerance")  # which structures are hits; cells may lack them
LEGEND = (
    "min, mean: quenched best structure of each start. hits: starts whose best "
    "structure, quenched at some checkpoint, is the lowest known minimum. final: "
    "polished last structure, as in the paper. evals/hit: evaluations of all starts "
    "until their first hit or the end, per hit. time: search, without compilation. "
    "paper: Learn2Hop, Table 2 (150 starts, 50,000 steps)."
)

Group = tuple[dict[str, Any], list[Cell]]


def group_cells(cells: Iterable[Cell]) -> list[Group]:
    """Group cells that can be compared, with the settings they share.

    Hits of different minima cannot be compared. If cells differ in the optimizer's
    settings only, the last one counts.
    """
    found: dict[tuple, dict[str, Cell]] = {}
    for cell in cells:
        target = (cell.get(name) for name in TARGET)
        settings = (cell[name] for name in SETTINGS)
        shared = (*settings, *target, get_protocol(cell))
        found.setdefault(shared, {})[cell["optimizer"]] = cell
    names = (*SETTINGS, *TARGET, "protocol")
    return [
        (dict(zip(names, shared, strict=True)), list(by_name.values()))
        for shared, by_name in found.items()
    ]


def render(
    cells: Iterable[Cell],
    failures: Iterable[dict[str, str]] = (),
    *,
    markdown: bool = False,
) -> str:
    """Render all tables with their notes, as plain text or Markdown."""
    failures = list(failures)
    bold = "**" if markdown else ""
    parts = []
    for shared, members in group_cells(cells):
        title = (
            f"{bold}{shared['system']}{bold}: {shared['starts']} starts x "
            f"{shared['steps']:,} steps, seed {shared['seed']}, {shared['dtype']}, "
            f"protocol {shared['protocol']}; {_describe_reference(members[0])}"
        )
        in_paper = shared["system"] in published.TABLE_2
        rows = [_make_row(cell, in_paper) for cell in members]
        if in_paper:
            rows += _make_paper_rows(shared["system"], members)
        head = HEAD + PAPER_HEAD if in_paper else HEAD
        table = _format_markdown(head, rows) if markdown else _format_plain(head, rows)
        notes = [
            f"{'- ' if markdown else '  '}{n}" for n in _make_notes(shared, members)
        ]
        gap = [""] if markdown and notes else []
        parts.append("\n".join([title, "", table, *gap, *notes]))
    if failures:
        parts.append("\n".join(map(describe_failure, failures)))
    legend = LEGEND if markdown else textwrap.fill(LEGEND, 100)
    return "\n\n".join([*parts, legend])


def describe_failure(failure: dict[str, str]) -> str:
    """Describe a cell that failed in one line."""
    return f"FAILED {failure['system']} {failure['optimizer']}: {failure['error']}"


def describe_discovery(cell: Cell) -> str | None:
    """Describe an energy below the lowest known one, by more than a hit; or `None`."""
    lowest, known = cell.get("min"), cell.get("reference")
    margin = cell.get("tolerance") or 0
    if lowest is None or known is None or lowest >= known - margin:
        return None
    return f"{cell['optimizer']}: {lowest} is lower than the lowest known energy"


def summarise_cell(cell: Cell) -> str:
    """Summarise a cell in one line."""
    energies = [format_energy(cell.get(name)) for name in ("min", "mean")]
    hits = "" if cell.get("hits") is None else f"  hits {format_hits(cell)}"
    seconds = format_seconds(cell.get("seconds"))
    return f"min {energies[0]}  mean {energies[1]}{hits}  {seconds} s"


def _describe_reference(cell: Cell) -> str:
    if cell.get("reference") is None:
        return "no minimum known"
    source, tolerance = cell.get("reference_source"), cell.get("tolerance")
    text = f"lowest known {cell['reference']:.4f}" + (f" ({source})" if source else "")
    return text if tolerance is None else f"{text}, hits within {tolerance:g}"


def _make_row(cell: Cell, in_paper: bool) -> list[str]:
    row = [column.show(cell) for column in SHOWN]
    if in_paper:
        method = published.COUNTERPARTS.get(cell["optimizer"])
        values = published.TABLE_2[cell["system"]].get(method or "")
        row += [f"{value:.2f}" for value in values] if values else ["", ""]
    return row


def _make_paper_rows(system: str, members: list[Cell]) -> list[list[str]]:
    """Rows for the paper's methods without a counterpart in the table."""
    matched = {published.COUNTERPARTS.get(cell["optimizer"]) for cell in members}
    return [
        [f"({method} in the paper)", *[""] * (len(HEAD) - 1)]
        + [f"{value:.2f}" for value in values]
        for method, values in published.TABLE_2[system].items()
        if method not in matched
    ]


def _make_notes(shared: dict[str, Any], members: list[Cell]) -> list[str]:
    notes = []
    for cell in members:
        if cell.get("faults"):
            notes.append(
                f"* {cell['optimizer']}: {cell['faults']:,} components of updates were "
                "not finite and were replaced by zero"
            )
        if cell.get("not_converged"):
            notes.append(
                f"{cell['optimizer']}: {cell['not_converged']} of {cell['starts']} "
                "quenches did not converge"
            )
        if (discovery := describe_discovery(cell)) is not None:
            notes.append(discovery)
    if shared["system"] in published.NOTES:
        notes.append(published.NOTES[shared["system"]])
    return notes


def _format_plain(head: Iterable[str], rows: list[list[str]]) -> str:
    table = [list(head), *rows]
    widths = [max(len(row[k]) for row in table) for k in range(len(table[0]))]

    def line(row: list[str]) -> str:
        cells = [row[0].ljust(widths[0])]
        cells += [entry.rjust(w) for entry, w in zip(row[1:], widths[1:], strict=True)]
        return "  ".join(cells).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([line(table[0]), rule, *map(line, rows)])


def _format_markdown(head: Iterable[str], rows: list[list[str]]) -> str:
    escaped = [[entry.replace("*", r"\*") for entry in row] for row in [head, *rows]]
    return format_markdown(escaped[0], escaped[1:], right=True)
