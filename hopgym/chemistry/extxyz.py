"""Structure files in the extended XYZ format, which OVITO, VMD and ASE read."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from jaxtyping import Array, Float

from hopgym._atomic_write import atomic_write
from hopgym.chemistry._extxyz_frames import find_fault, read_text, split_frames
from hopgym.chemistry._extxyz_header import encode_info
from hopgym.chemistry.convert import to_ase
from hopgym.rollout import Frames, Result
from hopgym.systems import System

RealArray = Float[Array | np.ndarray, "..."]
# Coordinates and forces are written with eight decimals.
SMALLEST_UNIT = 1e-4


def write_extxyz(
    path: str | os.PathLike,
    system: System,
    structures: RealArray | Result | Frames,
    energies: RealArray | None = None,
    gradients: RealArray | None = None,
    info: Sequence[dict[str, Any]] | None = None,
) -> None:
    """Write structures to a file, atomically.

    **Arguments:**

    - `path`: path of the file.
    - `system`: system of the structures; see [`hopgym.chemistry.to_ase`][] for elements
      and units.
    - `structures`: positions `(atoms, 3)` or `(structures, atoms, 3)`; a
      [`hopgym.Result`][], of which the best structure of each start is written; or its
      `frames`, written as one trajectory per start, one after the other.
    - `energies`, `gradients`: one per structure, if `structures` are positions.
    - `info`: additional entries of each structure's header. Those that are `None` or
      empty are left out; strings that would be read as something else, such as `"T"`
      and `"007"`, are written as JSON, which `read_extxyz` and ASE understand.

    **Raises:** `ValueError` for positions of a wrong shape or with non-finite values,
    entries of `info` that would not be read back as they are or whose names have a
    meaning of their own, a unit of length or force below 0.0001, or if the numbers of
    energies, gradients or entries of `info` differ from the number of structures;
    `OSError` if the file cannot be written.
    """
    length, energy = float(system.length), float(system.energy_unit)
    force = np.inf if gradients is None else energy / length
    if min(length, force) < SMALLEST_UNIT:
        raise ValueError(
            f"{system.name}: files have 8 decimals, too few for a unit of length of "
            f"{length:g} and of energy of {energy:g}: use units such as angstrom and eV"
        )
    write_images(path, list(_convert(system, structures, energies, gradients)), info)


def write_images(
    path: str | os.PathLike,
    images: Sequence[Atoms],
    info: Sequence[dict[str, Any]] | None = None,
) -> None:
    """Write `ase.Atoms` to a file, atomically.

    **Arguments:**

    - `path`: path of the file.
    - `images`: the structures; their `info` is updated.
    - `info`: as in `write_extxyz`.

    **Raises:** as `write_extxyz`.
    """
    if info is not None:
        for atoms, more in zip(images, info, strict=True):
            atoms.info.update(encode_info(more))
    text = io.StringIO()
    ase.io.write(text, images, format="extxyz")
    atomic_write(Path(path), text.getvalue())


def read_extxyz(path: str | os.PathLike) -> list[Atoms]:
    """Read all structures of a file as `ase.Atoms`, with stored energies and forces.

    The file may be compressed by gzip, have blank lines between structures, and numbers
    with Fortran exponents such as `-0.35D+01`.

    **Raises:** `ValueError` for a file that has no structures, is truncated or has
    another format, with the line; `OSError` if it cannot be read.
    """
    text = read_text(Path(path))
    images = []
    try:
        for line, frame in split_frames(text):
            images.append(_read_frame(line, frame))
    except ValueError as error:
        raise ValueError(
            f"{path} is not a complete extended XYZ file ({error})"
        ) from error
    return images


def _read_frame(line: int, frame: str) -> Atoms:
    """Read one structure, whose first line in the file is `line`."""
    try:
        atoms = ase.io.read(io.StringIO(frame), index=0, format="extxyz")
    except Exception as error:
        fault = find_fault(frame)
        if fault is not None:
            raise ValueError(f"line {line + fault[0]}: {fault[1]}") from error
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"line {line}: {reason or type(error).__name__}") from error
    assert isinstance(atoms, Atoms)
    if len(atoms) != int(frame.partition("\n")[0]):
        raise ValueError(f"line {line + 1}: no columns of symbols and positions")
    return atoms


def _convert(system, structures, energies, gradients) -> Iterator[Atoms]:
    if isinstance(structures, Frames):
        frames, starts = structures.energy.shape
        for start in range(starts):
            for frame in range(frames):
                atoms = to_ase(
                    system,
                    structures.positions[frame, start],
                    structures.energy[frame, start],
                )
                atoms.info.update(start=start, step=int(structures.step[frame]))
                yield atoms
        return
    if isinstance(structures, Result):
        state = structures.state
        structures, energies = state.best_positions, state.best_energy
    positions = np.asarray(structures, float).reshape(-1, *np.shape(structures)[-2:])
    missing = [None] * len(positions)
    yield from (
        to_ase(system, *structure)
        for structure in zip(
            positions,
            missing if energies is None else np.ravel(np.asarray(energies)),
            missing if gradients is None else np.reshape(gradients, positions.shape),
            strict=True,
        )
    )
