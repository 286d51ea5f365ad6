"""Draw the picture of the README: low structures of four landscapes.

python benchmarks/gallery.py docs/gallery.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import jax
import numpy as np

import hopgym
from hopgym import structures
from hopgym.optimizers import make_optimizer
from hopgym.rendering import draw, save_png
from hopgym.systems.silicon import CELL_EDGE

SIZE = 400


def searched(name: str, starts: int, steps: int) -> tuple[hopgym.System, np.ndarray]:
    """A system, and the lowest structure that basin hopping finds."""
    system = hopgym.get_system(name)
    optimizer = make_optimizer("bh-lbfgs", system=system, steps=steps)
    environment = hopgym.Environment(system)
    result = hopgym.rollout(environment, optimizer, jax.random.key(0), starts, steps)
    found = hopgym.quench(system, result.state.best_positions)
    best = int(found.energy.argmin())
    print(f"{name}: {float(found.energy[best]):.4f}")
    return system, np.asarray(found.positions[best])


def built(name: str, positions: jax.Array) -> tuple[hopgym.System, np.ndarray]:
    """A system, and an ideal structure of it, relaxed."""
    system = hopgym.get_system(name)
    found = hopgym.quench(system, positions * system.length)
    print(f"{name}: {float(found.energy):.4f}")
    return system, np.asarray(found.positions)


def main(path: str) -> None:
    """Write the picture to `path`."""
    silicon = hopgym.get_system("SW-Si64")
    shown = [
        built("LJ-75", structures.decahedron()),
        searched("Gupta-Ag19Au19", 16, 20_000),
        searched("Gupta-Au55", 16, 20_000),
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
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    save_png(path, np.concatenate(pictures, axis=1))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python benchmarks/gallery.py FILE.png")
    main(sys.argv[1])
