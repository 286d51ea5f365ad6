"""Draw the picture of the README: low structures of four landscapes.

python benchmarks/gallery.py docs/gallery.png
"""

from __future__ import annotations

import os
import sys

if not __package__:  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == "__main__":
    from benchmarks import start as start

from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

import hopgym
from hopgym import structures
from hopgym._cli.arguments import Parser
from hopgym._cli.process import run as run_command
from hopgym.optimizers import make_optimizer
from hopgym.rendering import draw, save_png
from hopgym.systems.silicon import CELL_EDGE

SIZE = 400


def find_lowest(name: str, starts: int, steps: int) -> tuple[hopgym.System, np.ndarray]:
    """Find a low structure of a system by basin hopping."""
    system = hopgym.get_system(name)
    optimizer = make_optimizer("bh-lbfgs", system=system, steps=steps)
    environment = hopgym.Environment(system)
    result = hopgym.rollout(environment, optimizer, jax.random.key(0), starts, steps)
    found = hopgym.quench(system, result.state.best_positions)
    best = int(found.energy.argmin())
    print(f"{name}: {float(found.energy[best]):.4f}")
    return system, np.asarray(found.positions[best])


def relax(name: str, positions: jax.Array) -> tuple[hopgym.System, np.ndarray]:
    """Relax an ideal structure of a system."""
    system = hopgym.get_system(name)
    found = hopgym.quench(system, positions * system.length)
    print(f"{name}: {float(found.energy):.4f}")
    return system, np.asarray(found.positions)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the picture, and return the exit code."""
    parser = Parser(prog="gallery.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", type=Path, metavar="FILE.png")
    path = parser.parse_args(arguments).path
    silicon = hopgym.get_system("SW-Si64")
    shown = [
        relax("LJ-75", structures.decahedron()),
        find_lowest("Gupta-Ag19Au19", 16, 20_000),
        find_lowest("Gupta-Au55", 16, 20_000),
        (silicon, np.asarray(structures.diamond(2, CELL_EDGE))),
    ]
    pictures = [
        draw(
            positions,
            system.symbols,
            None if system.box is None else np.asarray(system.box),
            size=SIZE,
            caption=system.name,
        )
        for system, positions in shown
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    save_png(path, np.concatenate(pictures, axis=1))
    return 0


if __name__ == "__main__":
    run_command(main)
