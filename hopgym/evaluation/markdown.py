"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable


def format_markdown(
    head: Iterable[str], rows: Iterable[Iterable[str]], *, right: bool = False
) -> str:
    """Format a table in Markdown.

    **Arguments:**

    - `head`, `rows`: cells of the first line, and of the others.
    - `right`: whether all columns but the first are aligned to the right.
    """
    head = list(head)
    rule = ["---"] + ["---:" if right else "---"] * (len(head) - 1)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *rows])
