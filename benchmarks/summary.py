"""The tables of results in README and documentation, from the committed results.

python benchmarks/summary.py
"""

from __future__ import annotations

import os
import re
import sys

if not __package__:  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == "__main__":
    from benchmarks import start as start

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.compare import average, compare, select, subtract
from benchmarks.paper.registry import STUDIES
from benchmarks.presets import NOT_ICOSAHEDRAL, PRESETS
from benchmarks.store import read_record, read_sound_record
from hopgym._cli.process import run as run_command
from hopgym.evaluation.columns import Cell, get_protocol
from hopgym.evaluation.markdown import format_markdown
from hopgym.evaluation.published import METHODS, TABLE_2
from hopgym.evaluation.report import group_cells
from hopgym.optimizers import ZOO, read_header
from hopgym.suites.leaderboard import format_score, load_shipped, rank
from hopgym.suites.registry import get_suite

RESULTS = Path(__file__).resolve().parent / "results"


def format_cell(cell: Cell | None) -> str:
    """Format the mean best energy with its standard error, and the hits, if any."""
    if cell is None:
        return ""
    text = f"{cell['mean']:.2f} ± {cell['mean_error']:.2f}"
    return text + (f" ({cell['hits']}/{cell['starts']})" if cell["hits"] else "")


def format_hits(cell: Cell | None) -> str:
    """Format hits and evaluations per hit, or the mean where no minimum is known."""
    if cell is None:
        return ""
    if cell["hits"] is None:
        return format_cell(cell)
    if not cell["hits"]:
        return "0"
    return f"{cell['hits']}, {cell['evaluations_to_hit']:,.0f}"


def read_cells(study: str) -> dict[tuple[str, str], Cell]:
    """Cells of a study by optimizer and system, without those of older protocols."""
    cells, _ = read_record(RESULTS / study)
    protocol = max(map(get_protocol, cells))
    return {
        (cell["optimizer"], cell["system"]): cell
        for cell in cells
        if get_protocol(cell) == protocol
    }


def format_searches(study: str) -> str:
    """Format a table of the systems of a preset by optimizers: the hits of each."""
    found = read_cells(study)
    optimizers = sorted({one for one, _ in found}, key=list(ZOO).index)
    systems = list(PRESETS[study].systems)
    rows = [
        [system, *(format_hits(found.get((one, system))) for one in optimizers)]
        for system in systems
    ]
    return format_markdown(["system", *(f"`{one}`" for one in optimizers)], rows)


def format_table(
    study: str, optimizers: Sequence[str] = (), methods: Sequence[str] = ()
) -> str:
    """Format a table of optimizers by systems, in Markdown.

    **Arguments:**

    - `study`: folder of the results.
    - `optimizers`: optimizers to show; by default all.
    - `methods`: methods of the paper whose means are shown as well.

    **Raises:** `ValueError` if cells of a system differ in budget or reference minimum.
    """
    found = read_cells(study)
    systems = list(dict.fromkeys(system for _, system in found))
    optimizers = optimizers or list(dict.fromkeys(optimizer for optimizer, _ in found))
    shown = [cell for (optimizer, _), cell in found.items() if optimizer in optimizers]
    groups = [shared["system"] for shared, _ in group_cells(shown)]
    for system in systems:
        if groups.count(system) > 1:
            raise ValueError(
                f"{study}: cells of {system} differ in budget or reference minimum"
            )
    rows = []
    for optimizer in optimizers:
        entries = [format_cell(found.get((optimizer, system))) for system in systems]
        rows.append([f"`{optimizer}`", *entries])
    for method in methods:
        entries = [f"{TABLE_2[system][method][1]:.2f}" for system in systems]
        rows.append([f"*paper: {method}*", *entries])
    known = [found[optimizers[0], system]["reference"] for system in systems]
    last = ["" if energy is None else f"{energy:.2f}" for energy in known]
    rows.append(["lowest known", *last])
    return format_markdown(["optimizer", *systems], rows)


def format_all_sizes() -> str:
    """Format evaluations per hit of Lennard-Jones clusters, all and unseen ones."""
    shown = ("bh-learned", "bh-symmetric", "bh-lbfgs")
    cells = read_sound_record(RESULTS / "sweep")
    sizes = [f"LJ-{atoms}" for atoms in range(20, 151)]
    known = {*read_header(shown[0])["known_systems"], *NOT_ICOSAHEDRAL}
    unseen = [name for name in sizes if name not in known]
    rows = []
    for label, systems in (
        ("20 to 150", sizes),
        (f"{len(unseen)} of them: unseen, and not in the table above", unseen),
    ):
        own = [cell for cell in cells if cell["optimizer"] in shown]
        means = average(*select(own, systems))
        entries = [label]
        for name in shown:
            mean = f"{np.exp(means[name][0]):,.0f}"
            if name != shown[0]:
                mean += f" ({subtract(means[name], means[shown[0]])})"
            entries.append(mean)
        rows.append(entries)
    return format_markdown(["sizes", *(f"`{name}`" for name in shown)], rows)


def format_paper() -> str:
    """Format the paper's claims and whether they hold, with links to the sections."""
    rows = []
    for study in STUDIES.values():
        title = study.title
        section = re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
        link = f"[{title.partition(':')[0]}](docs/paper.md#{section})"
        rows.append([link, f"`{study.name}`", study.claim, study.finding])
    return format_markdown(["figure or table", "name", "the paper says", "here"], rows)


def format_leaderboard() -> str:
    """Format the ranked entries of the leaderboard."""
    suite = get_suite("v1")
    rows = []
    for entry, score in rank(load_shipped(suite.version)):
        if entry.is_complete:
            row = [f"`{entry.header.name}`", entry.header.ruleset]
            row += [format_score(score)]
            row += [f"{rate:.1f}%" for rate in score.rates]
            rows.append([*row, f"{score.solved} of {len(entry.systems)}"])
    budgets = [f"hits at {budget:,}" for budget in suite.budgets]
    return format_markdown(
        ["entry", "ruleset", "score [95%]", *budgets, "systems solved"], rows
    )


# Optimizers in the table of the README.
SELECTED = (
    *("adam", "fire", "random-restart", "annealing", "bh-paper", "bh-lbfgs"),
    *("bh-two-phase", "bh-symmetric", "bh-learned"),
    *("learn2hop-lj13-esmc", "learn2hop-lj-set"),
)
TABLES = (
    lambda: format_table("paper", SELECTED, ("BH", "ESMC", "GA")),
    lambda: format_table("paper", methods=METHODS),
    lambda: format_searches("yardstick"),
    lambda: format_searches("yardstick-long"),
    lambda: compare(read_sound_record(RESULTS / "learning"), "bh-learned"),
    format_all_sizes,
    lambda: format_table("moves"),
    format_paper,
    format_leaderboard,
)


def main() -> int:
    """Print all tables, and return the exit code."""
    print("\n\n".join(table() for table in TABLES))
    return 0


if __name__ == "__main__":
    run_command(main)
