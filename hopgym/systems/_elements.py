"""Checks of the chemical elements of a system."""

from __future__ import annotations

from collections.abc import Iterable


def get_single_element(potential: str, symbols: Iterable[str]) -> str:
    """Get the element of atoms that must all have the same one.

    **Raises:** `ValueError` for several elements.
    """
    elements = sorted(set(symbols))
    if len(elements) > 1:
        raise ValueError(
            f"{potential!r} is for atoms of one element, got {', '.join(elements)}"
        )
    return elements[0]
