"""Plotly charts of a search."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import plotly.graph_objects as go

from hopgym.structure_search.search import Search

INK, BLUE, ORANGE, GREY = "#2e3440", "#3b6ea8", "#d08342", "#9aa3b2"
SHOWN_QUANTILE = 0.95  # of the energies: the highest are far above all others
HISTOGRAM_BINS = 60


def make_charts(search: Search) -> list[dict[str, Any]]:
    """Make the charts, as JSON: energies of the minima, progress, number of minima."""
    figures = [_plot_energies(search), _plot_progress(search), _plot_growth(search)]
    return [json.loads(str(figure.to_json())) for figure in figures]


def _get_reference(search: Search) -> float | None:
    return search.reference


def _plot_energies(search: Search) -> go.Figure:
    energies = np.array([m.energy for m in search.pool.minima])
    high = float(np.quantile(energies, SHOWN_QUANTILE)) if len(energies) else 0.0
    counts, edges = np.histogram(energies[energies <= high], bins=HISTOGRAM_BINS)
    figure = go.Figure(
        go.Bar(
            x=(edges[1:] + edges[:-1]) / 2,
            y=counts,
            width=np.diff(edges),
            marker={"color": BLUE, "line": {"width": 0}},
            hovertemplate="%{x:.3f}: %{y} minima<extra></extra>",
        )
    )
    reference = _get_reference(search)
    if reference is not None:
        figure.add_vline(reference, line={"color": INK, "width": 1, "dash": "dash"})
    _style(figure, f"energy / {search.unit}", "distinct minima")
    return figure


def _plot_progress(search: Search) -> go.Figure:
    rows = np.array(search.curve, float).reshape(-1, 4)
    figure = go.Figure()
    for column, colour, name in (
        (2, ORANGE, "mean of the starts"),
        (1, BLUE, "lowest"),
    ):
        figure.add_scatter(
            x=rows[:, 0],
            y=rows[:, column],
            name=name,
            mode=_choose_mode(rows),
            line={"color": colour, "width": 2, "shape": "hv"},
            hovertemplate="%{x:,} evaluations: %{y:.4f}<extra></extra>",
        )
    reference = _get_reference(search)
    if reference is not None:
        figure.add_hline(reference, line={"color": INK, "width": 1, "dash": "dash"})
    _style(figure, "search evaluations", f"energy / {search.unit}")
    return figure


def _plot_growth(search: Search) -> go.Figure:
    rows = np.array(search.curve, float).reshape(-1, 4)
    figure = go.Figure(
        go.Scatter(
            x=rows[:, 0],
            y=rows[:, 3],
            mode=_choose_mode(rows),
            line={"color": BLUE, "width": 2},
            hovertemplate="%{x:,} evaluations: %{y:,} minima<extra></extra>",
        )
    )
    _style(figure, "search evaluations", "distinct minima so far")
    return figure


def _choose_mode(rows: np.ndarray) -> str:
    return "lines" if len(rows) > 20 else "lines+markers"


def _style(figure: go.Figure, x: str, y: str) -> None:
    axis = {
        "showgrid": True,
        "gridcolor": "#eceff4",
        "zeroline": False,
        "linecolor": GREY,
        "ticks": "outside",
        "tickcolor": GREY,
    }
    figure.update_layout(
        template="none",
        font={"family": "system-ui, sans-serif", "size": 12, "color": INK},
        margin={"l": 64, "r": 12, "t": 12, "b": 44},
        height=280,
        xaxis={**axis, "title": {"text": x}},
        yaxis={**axis, "title": {"text": y, "standoff": 10}, "automargin": True},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
