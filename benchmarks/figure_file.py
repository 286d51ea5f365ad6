"""Files of figures."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from hopgym._atomic_write import atomic_save


def save_figure(path: Path, figure: Figure, dpi: int = 150) -> None:
    """Write a figure to a file, atomically; its suffix is the format.

    **Raises:** `OSError` if it cannot be written; `ValueError` for an unknown format.
    """
    kind = path.suffix.removeprefix(".") or "png"
    atomic_save(path, lambda stream: figure.savefig(stream, format=kind, dpi=dpi))
