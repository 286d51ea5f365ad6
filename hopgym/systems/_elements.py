"""Checks of chemical elements."""

from __future__ import annotations

from collections.abc import Iterable


def get_single_element(potential: str, symbols: Iterable[str]) -> str:
    """The element of atoms that are all alike.

    **Raises:** `ValueError` for several elements.
    """
    elements = sorted(set(symbols))
    if len(elements) > 1:
        raise ValueError(
            f"{potential!r} is for atoms of one element, got {', '.join(elements)}"
        )
    return elements[0]
