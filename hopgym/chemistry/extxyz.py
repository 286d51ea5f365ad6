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
from hopgym.chemistry.convert import to_ase
from hopgym.rollout import Frames, Result
from hopgym.systems import System

RealArray = Float[Array | np.ndarray, "..."]


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
    - `info`: additional entries of each structure's header.

    **Raises:** `ValueError` for positions of a wrong shape or with non-finite values,
    or if the numbers of energies, gradients or entries of `info` differ from the number
    of structures; `OSError` if the file cannot be written.
    """
    images = list(_convert(system, structures, energies, gradients))
    if info is not None:
        for atoms, more in zip(images, info, strict=True):
            atoms.info.update(more)
    text = io.StringIO()
    ase.io.write(text, images, format="extxyz")
    atomic_write(Path(path), text.getvalue())


def read_extxyz(path: str | os.PathLike) -> list[Atoms]:
    """Read all structures of a file as `ase.Atoms`, with stored energies and forces.

    **Raises:** `ValueError` for a file that is truncated or has another format;
    `OSError` if it cannot be read.
    """
    content = Path(path).read_bytes()
    try:
        text = io.StringIO(content.decode())
        images = ase.io.read(text, index=":", format="extxyz")
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"{path} is not a complete extended XYZ file ({reason})"
        ) from error
    assert isinstance(images, list)
    return images


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
