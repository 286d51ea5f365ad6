"""The table: for every system the optimizers, beside the paper's values."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

import paper

HEAD = (
    "optimizer",
    "min",
    "mean ± s.e.",
    "hits",
    "rate [95%]",
    "evals/hit",
    "final min",
    "final mean",
    "time/s",
)
PAPER_HEAD = ("paper min", "paper mean")
SETTINGS = ("system", "starts", "steps", "seed", "dtype")
LEGEND = (
    "min, mean, hits: quenched best structure of each start. final: polished last "
    "structure, the paper's measure. evals/hit: search evaluations of all starts "
    "until their first hit or the end, for each hit. time: of the search, without "
    "compilation. paper: Learn2Hop, Table 2 (150 starts, 50,000 steps)."
)

Group = tuple[dict[str, Any], list[dict[str, Any]]]


def groups(cells: Iterable[dict[str, Any]]) -> list[Group]:
    """Cells that can be compared with each other, and the settings they share.

    Of cells that differ in nothing but the optimizer's settings the last one counts.
    """
    found: dict[tuple, dict[str, dict[str, Any]]] = {}
    for cell in cells:
        shared = tuple(cell[name] for name in SETTINGS)
        found.setdefault(shared, {})[cell["optimizer"]] = cell
    return [
        (dict(zip(SETTINGS, shared, strict=True)), list(by_name.values()))
        for shared, by_name in found.items()
    ]


def render(
    cells: Iterable[dict[str, Any]],
    failures: Iterable[dict[str, str]] = (),
    *,
    markdown: bool = False,
) -> str:
    """All tables with their notes, as plain text or Markdown."""
    failures = list(failures)
    bold = "**" if markdown else ""
    parts = []
    for shared, members in groups(cells):
        title = (
            f"{bold}{shared['system']}{bold}: {shared['starts']} starts x "
            f"{shared['steps']:,} steps, seed {shared['seed']}, {shared['dtype']}; "
            f"{_known(members[0])}"
        )
        in_paper = shared["system"] in paper.TABLE_2
        rows = [_row(cell, in_paper) for cell in members]
        if in_paper:
            rows += _unmatched(shared["system"], members)
        head = HEAD + PAPER_HEAD if in_paper else HEAD
        table = _markdown(head, rows) if markdown else _plain(head, rows)
        notes = [f"{'- ' if markdown else '  '}{n}" for n in _notes(shared, members)]
        gap = [""] if markdown and notes else []
        parts.append("\n".join([title, "", table, *gap, *notes]))
    failed = [f"FAILED {f['system']} {f['optimizer']}: {f['error']}" for f in failures]
    if failed:
        parts.append("\n".join(failed))
    legend = LEGEND if markdown else textwrap.fill(LEGEND, 100)
    return "\n\n".join([*parts, legend])


def summary(cell: dict[str, Any]) -> str:
    """One cell in a few words."""
    hits = "" if cell["hits"] is None else f"  hits {cell['hits']}/{cell['starts']}"
    return (
        f"min {_energy(cell['min'])}  mean {_energy(cell['mean'])}{hits}  "
        f"{cell['seconds']:.1f} s"
    )


def _known(cell: dict[str, Any]) -> str:
    if cell["reference"] is None:
        return "no minimum known"
    source = f" ({cell['reference_source']})" if cell["reference_source"] else ""
    return f"lowest known {cell['reference']:.4f}{source}"


def _row(cell: dict[str, Any], in_paper: bool) -> list[str]:
    error = cell["mean_error"]
    row = [
        cell["optimizer"] + ("*" if cell["faults"] else ""),
        _energy(cell["min"]),
        _energy(cell["mean"]) + ("" if error is None else f" ± {error:.3f}"),
        "-" if cell["hits"] is None else f"{cell['hits']}/{cell['starts']}",
        _rate(cell),
        _count(cell["evaluations_to_hit"]),
        _energy(cell["final_min"]),
        _energy(cell["final_mean"]),
        f"{cell['seconds']:.1f}",
    ]
    if in_paper:
        method = paper.COUNTERPARTS.get(cell["optimizer"])
        values = paper.TABLE_2[cell["system"]].get(method or "")
        row += [f"{value:.2f}" for value in values] if values else ["", ""]
    return row


def _unmatched(system: str, members: list[dict[str, Any]]) -> list[list[str]]:
    """Rows for the paper's methods that no optimizer of the table stands for."""
    matched = {paper.COUNTERPARTS.get(cell["optimizer"]) for cell in members}
    return [
        [f"({method} in the paper)", *[""] * (len(HEAD) - 1)]
        + [f"{value:.2f}" for value in values]
        for method, values in paper.TABLE_2[system].items()
        if method not in matched
    ]


def _notes(shared: dict[str, Any], members: list[dict[str, Any]]) -> list[str]:
    notes = []
    for cell in members:
        if cell["faults"]:
            notes.append(
                f"* {cell['optimizer']}: {cell['faults']:,} components of updates were "
                "not finite and counted as zero"
            )
        if cell["not_converged"]:
            notes.append(
                f"{cell['optimizer']}: {cell['not_converged']} of {cell['starts']} "
                "quenches did not converge"
            )
        below = cell["min"] is not None and cell["reference"] is not None
        if below and cell["min"] < cell["reference"] - cell["tolerance"]:
            notes.append(
                f"{cell['optimizer']}: {cell['min']} is lower than the lowest known"
            )
    if shared["system"] in paper.NOTES:
        notes.append(paper.NOTES[shared["system"]])
    return notes


def _energy(value: float | None) -> str:
    if value is None:
        return "-"
    # Optimizers that blow a cluster up end at 1e10 and more.
    return f"{value:.3f}" if abs(value) < 1e6 else f"{value:.2e}"


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _rate(cell: dict[str, Any]) -> str:
    if cell["hits"] is None:
        return "-"
    low, high = 100 * cell["hit_rate_low"], 100 * cell["hit_rate_high"]
    return f"{100 * cell['hit_rate']:.0f}% [{low:.0f}, {high:.0f}]"


def _plain(head: Iterable[str], rows: list[list[str]]) -> str:
    table = [list(head), *rows]
    widths = [max(len(row[k]) for row in table) for k in range(len(table[0]))]

    def line(row: list[str]) -> str:
        cells = [row[0].ljust(widths[0])]
        cells += [entry.rjust(w) for entry, w in zip(row[1:], widths[1:], strict=True)]
        return "  ".join(cells).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([line(table[0]), rule, *map(line, rows)])


def _markdown(head: Iterable[str], rows: list[list[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    escaped = [[entry.replace("*", r"\*") for entry in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)
