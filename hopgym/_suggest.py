"""Messages for unknown names, with suggestions."""

from __future__ import annotations

import difflib
from typing import Any


def describe_unknown_name(what: str, name: Any, known: list[str]) -> str:
    """Message for an unknown name, with the most similar known ones.

    **Arguments:**

    - `what`: what is named, such as `"optimizer"`.
    - `name`: the unknown name, or what was passed instead of a name.
    """
    if not isinstance(name, str):
        return f"the name of a {what} is a string, such as {known[0]!r}, got {name!r}"
    folded = {entry.casefold(): entry for entry in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)
    hint = " or ".join(repr(folded[entry]) for entry in near)
    return f"unknown {what} {name!r}" + (f"; did you mean {hint}?" if hint else "")
