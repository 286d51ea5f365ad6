"""Draw low structures as bh-symmetric finds them, seen along axes of symmetry.

python benchmarks/gallery.py docs/gallery.png
"""

from __future__ import annotations

import os
import sys

if not __package__:  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == "__main__":
    from benchmarks import start as start

import argparse
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float, UInt8

import hopgym
from hopgym._cli.arguments import (
    Parser,
    parse_count,
    parse_names,
    parse_seed,
    parse_starts,
)
from hopgym._cli.lookup import get_systems
from hopgym._cli.process import run as run_command
from hopgym.minima.point_group import find_operations
from hopgym.optimizers import make_optimizer
from hopgym.rendering import draw, save_png

SYSTEMS = ["LJ-38", "LJ-75", "LJ-98", "Gupta-Ag19Au19", "SW-Si64"]
SIZE = 400  # of a picture, in pixels
TOLERANCE = 0.1  # of operations of symmetry, in lengths
TILT = 0.12  # of the view from the axis, in radians


def find_lowest(
    system: hopgym.System, seed: int, starts: int, steps: int
) -> Float[np.ndarray, "atoms 3"]:
    """Find a low structure of a system from random starts."""
    result = hopgym.rollout(
        hopgym.Environment(system),
        make_optimizer("bh-symmetric", system=system, steps=steps),
        jax.random.key(seed),
        starts,
        steps,
    )
    found = hopgym.quench(system, result.state.best_positions)
    best = int(found.energy.argmin())
    print(f"{system.name}: {float(found.energy[best]):.4f}")
    return np.asarray(found.positions[best])


def choose_view(
    positions: Float[np.ndarray, "atoms 3"], system: hopgym.System
) -> Float[np.ndarray, "3 3"]:
    """View along a rotation axis of the highest order, or along a row of a crystal."""
    row = np.array([1, 0, 1]) / np.sqrt(2)
    axis = find_axis(positions, system) if system.box is None else row
    right = np.cross([0.0, 1, 0] if abs(axis[1]) < 0.9 else [1.0, 0, 0], axis)
    right /= np.linalg.norm(right)
    up = np.cross(axis, right)
    cosine, sine = np.cos(TILT), np.sin(TILT)
    return np.stack([right, cosine * up - sine * axis, cosine * axis + sine * up])


def find_axis(
    positions: Float[np.ndarray, "atoms 3"], system: hopgym.System
) -> Float[np.ndarray, "3"]:
    """Find a rotation axis of the highest order of a cluster."""
    points = np.asarray(positions - positions.mean(axis=0), float)
    operations = find_operations(
        points, np.asarray(system.species), TOLERANCE * float(system.length)
    )
    rotations = [one for one in operations if one.sign > 0]
    images = list(max(rotations, key=lambda one: one.order).images)
    left, _, right = np.linalg.svd(points.T @ points[images])
    # The axis is what the rotation leaves where it is.
    return np.linalg.svd(left @ right - np.eye(3))[2][-1]


def parse_png(text: str) -> Path:
    """Parse the path of a PNG file.

    **Raises:** `argparse.ArgumentTypeError` for another suffix.
    """
    if not text.endswith(".png"):
        raise argparse.ArgumentTypeError(f"{text!r} does not end with .png")
    return Path(text)


def draw_structure(
    positions: Float[np.ndarray, "atoms 3"],
    system: hopgym.System,
    caption: str,
    view: Float[np.ndarray, "3 3"],
) -> UInt8[np.ndarray, "size size 3"]:
    """Draw a structure of a system, whose atoms have the diameter of its length."""
    return draw(
        positions,
        system.symbols,
        None if system.box is None else np.asarray(system.box),
        size=SIZE,
        length=float(system.length),
        caption=caption,
        view=view,
    )


def save_row(path: Path, pictures: Sequence[UInt8[np.ndarray, "size size 3"]]) -> None:
    """Write pictures side by side."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_png(path, np.concatenate(pictures, axis=1))


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the picture, and return the exit code."""
    parser = Parser(prog="gallery.py", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("path", type=parse_png, metavar="FILE.png")
    add("--systems", metavar="A,B", type=parse_names, default=SYSTEMS)
    add("--starts", metavar="N", type=parse_starts, default=32)
    add("--steps", metavar="N", type=parse_count, default=20_000)
    add("--seed", metavar="N", type=parse_seed, default=0)
    args = parser.parse_args(arguments)
    try:
        systems = get_systems(args.systems)
    except ValueError as error:
        parser.fail(error)
    pictures = []
    for system in systems:
        positions = find_lowest(system, args.seed, args.starts, args.steps)
        view = choose_view(positions, system)
        pictures.append(draw_structure(positions, system, system.name, view))
    save_row(args.path, pictures)
    return 0


if __name__ == "__main__":
    run_command(main)
