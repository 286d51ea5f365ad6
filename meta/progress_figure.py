"""Figure of a training's progress: losses, as in the paper's Fig. 3, and hit rates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from hopgym._atomic_write import atomic_save

# Name of a loss in the legend, and its line.
LOSSES = {
    "final_loss": ("final structure", "-"),
    "best_loss": ("best structure", "--"),
    "first_hit_loss": ("first hit", "-"),
}


def draw(path: Path, metrics: Sequence[dict[str, Any]], title: str) -> None:
    """Plot evaluations on held-out starts against meta-updates.

    **Arguments:**

    - `path`: path of the PNG file, which is replaced atomically.
    - `metrics`: entries of `metrics.jsonl`.
    - `title`: title of the figure.
    """
    figure = Figure(figsize=(7, 5), layout="constrained")
    losses, rates = figure.subplots(2, 1, sharex=True)
    points = [entry for entry in metrics if "evaluation" in entry]
    for name in dict.fromkeys(name for p in points for name in p["evaluation"]):
        own = [(p["update"], p["evaluation"][name]) for p in points]
        own = [(update, values) for update, values in own if values is not None]
        updates = [update for update, _ in own]
        has_hits = all("first_hit_loss" in cell for _, cell in own)
        for kind in ("first_hit_loss",) if has_hits else ("final_loss", "best_loss"):
            values = [cell[kind] for _, cell in own]
            label, style = LOSSES[kind]
            losses.plot(updates, values, style, marker=".", label=f"{name}, {label}")
        shares = [cell["hit_rate"] for _, cell in own]
        rates.plot(updates, shares, marker=".", label=name)
    losses.set_ylabel("mean meta-loss")
    rates.set_ylabel("hit rate")
    rates.set_ylim(-0.02, 1.02)
    rates.set_xlabel("meta-updates")
    if points:
        losses.legend(fontsize="small")
    figure.suptitle(title, fontsize="medium")
    atomic_save(path, lambda stream: figure.savefig(stream, format="png", dpi=120))
