"""What figures have in common: colours and files."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

import matplotlib
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from hopgym._atomic_write import atomic_save

Colour = tuple[float, float, float]


# Places in the palette of optimizers that are often shown; pairs of places are a strong
# colour and its pale version.
PLACES = {
    "bh-lbfgs": 0,
    "bh-two-phase": 1,
    "bh-paper": 2,
    "bh-step-lj13": 3,
    "bh-symmetric": 4,
    "random-restart": 5,
    "bh-learned": 6,
    "annealing": 7,
    "learn2hop-lj-set": 8,
    "learn2hop-lj13-esmc": 9,
    "fire": 10,
    "fire6p-lj13": 11,
    "learn2hop-lj13-ga": 12,
    "fire-ase": 13,
    "adam": 14,
    "adam4p-lj13": 15,
    "lbfgs": 16,
    "gd": 17,
    "lj75-esmc": 18,
    "six-ga": 19,
}
PALETTE = "tab20"


def choose_colours(names: Iterable[str]) -> dict[str, Colour]:
    """Choose colours, red, green and blue, of optimizers.

    Those that are often shown have the same one in all figures; the others share the
    strong colours that are left, and then the pale ones.
    """
    names = list(dict.fromkeys(names))
    palette = matplotlib.colormaps[PALETTE]
    taken = {PLACES[name] for name in names if name in PLACES}
    order = [*range(0, palette.N, 2), *range(1, palette.N, 2)]
    free = [place for place in order if place not in taken] or order
    others = [name for name in names if name not in PLACES]
    places = PLACES | dict(zip(others, itertools.cycle(free), strict=False))
    return {name: to_rgb(palette(places[name])) for name in names}


def save_figure(path: Path, figure: Figure, dpi: int = 150) -> None:
    """Write a figure to a file, atomically; its suffix is the format.

    **Raises:** `OSError` if it cannot be written; `ValueError` for an unknown format.
    """
    kind = path.suffix.removeprefix(".") or "png"
    atomic_save(path, lambda stream: figure.savefig(stream, format=kind, dpi=dpi))
