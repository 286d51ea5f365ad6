"""Messages for unknown names, with suggestions."""

from __future__ import annotations

import difflib


def describe_unknown_name(what: str, name: str, known: list[str]) -> str:
    """Message for an unknown name, with the most similar known ones.

    **Arguments:**

    - `what`: what is named, such as `"optimizer"`.
    """
    folded = {entry.casefold(): entry for entry in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)
    hint = " or ".join(repr(folded[entry]) for entry in near)
    return f"unknown {what} {name!r}" + (f"; did you mean {hint}?" if hint else "")
