"""The README's table of results, from the committed results.

python benchmarks/summary.py
"""

from __future__ import annotations

import json
from pathlib import Path

from paper import TABLE_2

RESULTS = Path(__file__).resolve().parent / "results"


def cells(folder: str) -> list[dict]:
    """The cells of one folder of results."""
    return json.loads((RESULTS / folder / "results.json").read_text())["cells"]


def shown(cell: dict | None) -> str:
    """Mean best energy with its standard error, and hits if there are any."""
    if cell is None:
        return ""
    text = f"{cell['mean']:.2f} ± {cell['mean_error']:.2f}"
    return text + (f" ({cell['hits']}/{cell['starts']})" if cell["hits"] else "")


def table(folder: str, papers: bool) -> str:
    """Optimizers by systems in Markdown; with the paper's means below if asked for."""
    found = {(cell["optimizer"], cell["system"]): cell for cell in cells(folder)}
    systems = list(dict.fromkeys(system for _, system in found))
    optimizers = list(dict.fromkeys(optimizer for optimizer, _ in found))
    lines = [
        f"| optimizer | {' | '.join(systems)} |",
        "|---" * (len(systems) + 1) + "|",
    ]
    for optimizer in optimizers:
        entries = [shown(found.get((optimizer, system))) for system in systems]
        lines.append(f"| `{optimizer}` | {' | '.join(entries)} |")
    if papers:
        for method in TABLE_2[systems[0]]:
            entries = [f"{TABLE_2[system][method][1]:.2f}" for system in systems]
            lines.append(f"| *paper: {method}* | {' | '.join(entries)} |")
    known = [found[optimizers[0], system]["reference"] for system in systems]
    lines.append("| lowest known | " + " | ".join(f"{e:.2f}" for e in known) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print both tables."""
    print(table("paper", papers=True))
    print()
    print(table("yardstick", papers=False))


if __name__ == "__main__":
    main()
