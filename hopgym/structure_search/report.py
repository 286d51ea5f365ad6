"""The report of a search: a single self-contained HTML page."""

from __future__ import annotations

import base64
import html
import importlib.resources
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from plotly.offline import get_plotlyjs

from hopgym._cli.arguments import format_duration
from hopgym.cell import Cell
from hopgym.rendering import COLOURS, RADII
from hopgym.structure_search.figures import make_charts
from hopgym.structure_search.search import Search


def render_report(
    search: Search,
    meta: dict[str, Any],
    rows: list[dict[str, Any]],
    positions: Sequence[np.ndarray],
    pictures: Sequence[Path],
) -> str:
    """Render the page as HTML.

    **Arguments:**

    - `search`: the search.
    - `meta`, `rows`: contents of `minima.json`.
    - `positions`, `pictures`: positions and picture files of the structures in `rows`.
    """
    template = importlib.resources.files("hopgym.structure_search") / "report.html"
    page = template.read_text()
    data = {
        "structures": _describe_structures(search, rows, positions),
        "charts": make_charts(search),
    }
    parts = {
        "title": html.escape(search.system.name),
        "facts": _format_facts(meta, rows),
        "rows": _format_table(rows, pictures),
        "provenance": _format_provenance(meta),
        "unit": html.escape(meta["unit"]),
        # A closing tag in the data would end the enclosing script element.
        "data": json.dumps(data).replace("</", "<\\/"),
        "plotly": get_plotlyjs(),
    }
    return re.sub(r"@(\w+)@", lambda match: parts[match[1]], page)


def get_drawn_box(system: Any) -> Float[np.ndarray, "3"] | None:
    """Edges of the box that pictures show: that of a rectangular crystal."""
    if system.box is None or isinstance(system.box, Cell):
        return None
    return np.asarray(system.box, float)


def _describe_structures(search, rows, positions) -> dict[str, Any]:
    system = search.system
    symbols = list(system.symbols)
    box = get_drawn_box(system)
    half = float(system.length) / 2
    shown = []
    for points in positions:
        if box is not None:
            points = points - np.floor(points / box) * box - box / 2
        else:
            points = points - points.mean(axis=0)
        shown.append(np.round(points, 4).tolist())
    return {
        "labels": [
            f"{row['rank']}: {row['energy']:.6f} {search.unit}  {row['symmetry']}"
            for row in rows
        ],
        "positions": shown,
        "colours": [f"#{COLOURS.get(symbol, COLOURS['X'])}" for symbol in symbols],
        "radii": [RADII.get(symbol, half) for symbol in symbols],
        "symbols": symbols,
        "box": None if box is None else box.tolist(),
    }


def _format_facts(meta: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    unit = meta["unit"]
    facts = []
    if rows:
        facts.append((f"{rows[0]['energy']:.6f} {unit}", "lowest energy found"))
        hits = f"{rows[0]['hits']:,} of {meta['plan']['starts']:,}"
        facts.append((hits, "starts that visited it"))
    if rows and meta["reference"] is not None:
        gap = rows[0]["energy"] - meta["reference"]
        equal = abs(gap) < meta["tolerance"]
        text = "reached" if equal else f"{gap:+.4f} {unit}"
        facts.append((text, f"lowest known, {meta['reference']:.4f} {unit}"))
    spent = meta["search_evaluations"] + meta["quench_evaluations"]
    facts += [
        (f"{meta['distinct']:,}", "distinct minima"),
        (f"{spent + meta['refine_evaluations']:,}", "evaluations"),
        (format_duration(meta["seconds"]), "search time"),
    ]
    return "\n".join(
        f"<div><b>{html.escape(value)}</b><span>{html.escape(name)}</span></div>"
        for value, name in facts
    )


def _format_table(rows: list[dict[str, Any]], pictures: Sequence[Path]) -> str:
    lines = []
    for row, picture in zip(rows, pictures, strict=True):
        image = base64.b64encode(picture.read_bytes()).decode()
        cells = [
            str(row["rank"]),
            f'<img alt="" src="data:image/png;base64,{image}">',
            f"{row['energy']:.6f}",
            f"{row['above']:.4f}",
            html.escape(row["symmetry"]),
            f"{row['hits']:,}",
            f"{row['found']:,}",
        ]
        body = "".join(f"<td>{cell}</td>" for cell in cells)
        lines.append(f'<tr tabindex="0">{body}</tr>')
    return "\n".join(lines)


def _format_provenance(meta: dict[str, Any]) -> str:
    plan = meta["plan"]
    done = f"{meta['steps_done']:,} of {plan['steps']:,}"
    entries: dict[str, Any] = {
        "command": meta["command"],
        "system": f"{meta['system']}, {meta['atoms']} atoms",
        "optimizer": plan["optimizer"],
        "walks": f"{plan['starts']:,} starts, {done} steps each, seed {plan['seed']}",
        "evaluations": f"{meta['search_evaluations']:,} of energy and gradient in the "
        "search, including its own quenches and the initial structures; "
        f"{meta['quench_evaluations']:,} in quenches of each start's current and best "
        f"recent structure, every {plan['chunk']:,} steps; "
        f"{meta['refine_evaluations']:,} in double precision, to refine the lowest "
        "minima",
        **_describe_calculator(meta),
        "not converged": f"{meta['unconverged_quenches']:,} quenches, left out",
        "fragmented": f"{meta['fragmented_quenches']:,} quenches ended in structures "
        "whose atoms are not all connected, left out",
        "reference": meta["reference_source"] or "none known",
        "software": ", ".join(f"{k} {v}" for k, v in meta["versions"].items()),
        "machine": f"{meta['platform']}, {meta['devices']}, Python {meta['python']}, "
        f"kernels: {meta['kernels'] or 'none'}",
        "started": meta["date"],
    }
    return "\n".join(
        f"<dt>{name}</dt><dd>{html.escape(str(text))}</dd>"
        for name, text in entries.items()
    )


def _describe_calculator(meta: dict[str, Any]) -> dict[str, str]:
    """Entries about a calculator; none for a potential of hopgym."""
    plan, units = meta["plan"], meta["units"]
    if not plan["calculator"]:
        return {}
    version = plan["calculator_version"]
    return {
        "calculator": f"{plan['calculator']} {version}".strip()
        + f"; {meta['failures']:,} failed evaluations, which are counted",
        "units": f"length {units['length']:.3f} angstrom, energy "
        f"{units['energy']:.4f} eV; {meta['unit_evaluations']:,} evaluations to "
        "estimate them",
    }
