"""The README's tables of results, from the committed results.

python benchmarks/summary.py
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a file
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.columns import Cell
from benchmarks.paper import TABLE_2
from benchmarks.store import read_record

RESULTS = Path(__file__).resolve().parent / "results"


def format_cell(cell: Cell | None) -> str:
    """Mean best energy with its standard error, and hits if there are any."""
    if cell is None:
        return ""
    text = f"{cell['mean']:.2f} ± {cell['mean_error']:.2f}"
    return text + (f" ({cell['hits']}/{cell['starts']})" if cell["hits"] else "")


def format_table(study: str, with_paper: bool) -> str:
    """Optimizers by systems, in Markdown.

    **Arguments:**

    - `study`: a folder of results.
    - `with_paper`: whether the paper's means are shown too.
    """
    cells, _ = read_record(RESULTS / study)
    found = {(cell["optimizer"], cell["system"]): cell for cell in cells}
    systems = list(dict.fromkeys(system for _, system in found))
    optimizers = list(dict.fromkeys(optimizer for optimizer, _ in found))
    lines = [
        f"| optimizer | {' | '.join(systems)} |",
        "|---" * (len(systems) + 1) + "|",
    ]
    for optimizer in optimizers:
        entries = [format_cell(found.get((optimizer, system))) for system in systems]
        lines.append(f"| `{optimizer}` | {' | '.join(entries)} |")
    if with_paper:
        for method in TABLE_2[systems[0]]:
            entries = [f"{TABLE_2[system][method][1]:.2f}" for system in systems]
            lines.append(f"| *paper: {method}* | {' | '.join(entries)} |")
    known = [found[optimizers[0], system]["reference"] for system in systems]
    lines.append("| lowest known | " + " | ".join(f"{e:.2f}" for e in known) + " |")
    return "\n".join(lines)


def main() -> int:
    """Print both tables; the exit code."""
    print(format_table("paper", with_paper=True))
    print()
    print(format_table("yardstick", with_paper=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
