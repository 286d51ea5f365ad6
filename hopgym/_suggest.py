"""What to say when a name is not known."""

from __future__ import annotations

import difflib


def unknown_name(what: str, name: str, known: list[str]) -> str:
    """The message for an unknown name: what it is, and the nearest known names."""
    folded = {entry.casefold(): entry for entry in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)
    hint = " or ".join(repr(folded[entry]) for entry in near)
    return f"unknown {what} {name!r}" + (f"; did you mean {hint}?" if hint else "")
