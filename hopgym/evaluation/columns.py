"""The columns of the results: their meanings, and how tables show them.

`python -m hopgym.evaluation.columns` prints the table of columns for
benchmarks/README.md.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from hopgym.evaluation.markdown import format_markdown

Cell = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A column of the results; null in cells that lack it.

    **Arguments:**

    - `name`: name in `results.jsonl` and `results.csv`.
    - `meaning`: description in Markdown.
    - `in_csv`: whether `results.csv` has the column.
    - `essential`: whether cells without it are invalid.
    - `heading`: heading in printed tables; `None` if they do not show the column.
    - `show`: returns the text of a cell's entry in printed tables.
    """

    name: str
    meaning: str
    in_csv: bool = True
    essential: bool = False
    heading: str | None = None
    show: Callable[[Cell], str] = lambda _: ""


def get_protocol(cell: Cell) -> int:
    """Number of the protocol under which a cell was computed."""
    return cell.get("protocol") or 1


def format_energy(value: float | None, digits: int = 3) -> str:
    """Format an energy; those of diverging optimizers are 1e10 and more, or null."""
    if value is None:
        return "-"
    return f"{value:.{digits}f}" if abs(value) < 1e6 else f"{value:.2e}"


def format_seconds(value: float | None) -> str:
    """Format a time in seconds."""
    return "-" if value is None else f"{value:.1f}"


def format_hits(cell: Cell) -> str:
    """Format the number of hits and of starts."""
    hits = cell.get("hits")
    return "-" if hits is None else f"{hits}/{cell['starts']}"


def format_rate(cell: Cell) -> str:
    """Format the rate of hits, with Wilson's 95% interval."""
    rate, low, high = (cell.get(f"hit_rate{end}") for end in ("", "_low", "_high"))
    if rate is None or low is None or high is None:
        return "-"
    return f"{100 * rate:.0f}% [{100 * low:.0f}, {100 * high:.0f}]"


def _format_optimizer(cell: Cell) -> str:
    return cell["optimizer"] + ("*" if cell.get("faults") else "")


def _format_mean(cell: Cell) -> str:
    mean, error = format_energy(cell.get("mean")), cell.get("mean_error")
    return mean if error is None else f"{mean} ± {error:.3f}"


def _format_evaluations_to_hit(cell: Cell) -> str:
    value = cell.get("evaluations_to_hit")
    return "-" if value is None else f"{value:,.0f}"


def _show_energy(name: str) -> Callable[[Cell], str]:
    return lambda cell: format_energy(cell.get(name))


COLUMNS = (
    Column("system", "name of the system", essential=True),
    Column(
        "optimizer",
        "name in the zoo, `FILE:NAME` of a plug-in, or another program",
        essential=True,
        heading="optimizer",
        show=_format_optimizer,
    ),
    Column("starts", "number of random starts", essential=True),
    Column("steps", "search evaluations per start", essential=True),
    Column("seed", "random seed of starts and optimizers", essential=True),
    Column("dtype", "precision: `float32` or `float64`", essential=True),
    Column(
        "protocol",
        "number of the protocol; tables do not mix several; 1 in cells that lack it",
    ),
    Column(
        "min",
        "lowest energy of the quenched best structures",
        heading="min",
        show=_show_energy("min"),
    ),
    Column(
        "mean",
        "mean energy of the quenched best structures",
        heading="mean ± s.e.",
        show=_format_mean,
    ),
    Column("mean_error", "standard error of `mean`"),
    Column(
        "hits",
        "number of starts that found the lowest known minimum; null if none is known",
        heading="hits",
        show=format_hits,
    ),
    Column(
        "hit_rate",
        "`hits` divided by `starts`",
        heading="rate [95%]",
        show=format_rate,
    ),
    Column("hit_rate_low", "lower end of Wilson's 95% interval for `hit_rate`"),
    Column("hit_rate_high", "upper end of Wilson's 95% interval for `hit_rate`"),
    Column(
        "evaluations_to_hit",
        "evaluations of all starts until their first hit, or until the end of the "
        "search, divided by the number of hits (the maximum-likelihood estimate of the "
        "mean); null without hits",
        heading="evals/hit",
        show=_format_evaluations_to_hit,
    ),
    Column(
        "final_min",
        "lowest energy of the polished last structures: what the paper reports",
        heading="final min",
        show=_show_energy("final_min"),
    ),
    Column(
        "final_mean",
        "mean energy of the polished last structures: what the paper reports",
        heading="final mean",
        show=_show_energy("final_mean"),
    ),
    Column("final_mean_error", "standard error of `final_mean`"),
    Column("evaluations", "evaluations of the search, over all starts"),
    Column("evaluations_post", "evaluations of quenches and polish, over all starts"),
    Column(
        "seconds",
        "wall time of the search, without compilation",
        heading="time/s",
        show=lambda cell: format_seconds(cell.get("seconds")),
    ),
    Column("seconds_post", "wall time of quenches and polish, with compilation"),
    Column("compile_seconds", "compilation time of the search"),
    Column("faults", "number of non-finite components of updates"),
    Column(
        "not_converged",
        "quenches of best structures that did not converge in 5,000 evaluations",
    ),
    Column("reference", "lowest known energy, or null"),
    Column("reference_source", "source of `reference`", in_csv=False),
    Column("tolerance", "a start is a hit below `reference` plus this energy"),
    Column("settings", "hyper-parameters of the optimizer", in_csv=False),
    Column("grid", "hyper-parameters that `tune.py` varied", in_csv=False),
    Column(
        "energies",
        "for each start: energy of the quenched best structure",
        in_csv=False,
    ),
    Column(
        "first_hit",
        "for each start: evaluations until its first hit, or -1",
        in_csv=False,
    ),
    Column(
        "curve",
        "mean and quantiles over starts of the best energy so far, after up to 100 "
        "numbers of evaluations",
        in_csv=False,
    ),
    Column("date", "when the cell was computed", in_csv=False),
    Column("host", "versions, processor and devices", in_csv=False),
    Column("key", "settings by which a repeated command finds the cell", in_csv=False),
)
ESSENTIAL = tuple(column.name for column in COLUMNS if column.essential)
CSV = tuple(column.name for column in COLUMNS if column.in_csv)
SHOWN = tuple(column for column in COLUMNS if column.heading is not None)


def format_csv(cells: Iterable[Cell]) -> str:
    """Format the numbers of cells as CSV, a line for each cell after the names."""
    table = io.StringIO()
    writer: csv.DictWriter[str] = csv.DictWriter(
        table, CSV, extrasaction="ignore", lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(cells)
    return table.getvalue()


def format_columns() -> str:
    """Format a table of all columns and their meanings, in Markdown."""
    rows = [[f"`{column.name}`", column.meaning] for column in COLUMNS]
    return format_markdown(["column", "meaning"], rows)


if __name__ == "__main__":
    print(format_columns())
