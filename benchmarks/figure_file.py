"""What figures have in common: colours and files."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from hopgym._atomic_write import atomic_save

Colour = tuple[float, float, float]


def choose_colours(count: int) -> list[Colour]:
    """Choose colours, red, green and blue, that can be told apart if they are few."""
    palette = matplotlib.colormaps["tab10" if count <= 10 else "tab20"]
    return [to_rgb(palette(k % palette.N)) for k in range(count)]


def save_figure(path: Path, figure: Figure, dpi: int = 150) -> None:
    """Write a figure to a file, atomically; its suffix is the format.

    **Raises:** `OSError` if it cannot be written; `ValueError` for an unknown format.
    """
    kind = path.suffix.removeprefix(".") or "png"
    atomic_save(path, lambda stream: figure.savefig(stream, format=kind, dpi=dpi))
