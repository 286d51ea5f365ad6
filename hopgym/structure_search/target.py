"""The atoms of a search on a calculator, and the structures from which it starts."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.io.jsonio import decode, encode
from jaxtyping import Bool, Float

from hopgym.chemistry import read_extxyz
from hopgym.chemistry.ase_context import AseContext, describe_atoms
from hopgym.chemistry.constraints import check_for_hops
from hopgym.chemistry.contacts import have_overlap
from hopgym.structure_search.random_starts import Region, draw_starts


@dataclass(frozen=True)
class Target:
    """What is searched on a calculator.

    **Attributes:**

    - `name`: name in reports.
    - `template`: all atoms, with cell and constraints; those of a slab come first.
    - `own`: atoms that are searched: moves displace them, the others only relax.
    - `frames`: positions of the starts, one after the other; empty for random ones.
    """

    name: str
    template: Atoms
    own: Bool[np.ndarray, " atoms"]
    frames: tuple[Float[np.ndarray, "atoms 3"], ...] = ()

    def describe(
        self, length: float | None = None, energy: float | None = None
    ) -> AseContext:
        """Describe the atoms for optimizers.

        **Arguments:** units, as in `describe_atoms`.

        **Raises:** as `describe_atoms` and `check_for_hops`.
        """
        check_for_hops(self.template, "a search")
        context = describe_atoms(self.template, length, energy)
        context = dataclasses.replace(context, name=self.name)
        if np.all(self.own):
            return context
        freedom = context.freedom
        directions = 3 if freedom is None else np.asarray(freedom)
        freedom = np.where(self.own, directions, 0).astype(np.int32)
        return dataclasses.replace(context, freedom=jnp.asarray(freedom))

    def make_starts(
        self, context: AseContext, seed: int, starts: int
    ) -> Float[np.ndarray, "starts atoms 3"]:
        """Positions of the starts: the frames in turns, or random ones."""
        if self.frames:
            count = len(self.frames)
            return np.array([self.frames[k % count] for k in range(starts)])
        region = Region.around(self.template, self.own, float(context.length))
        with jax.enable_x64(True):
            key = jax.random.key(seed)
            return draw_starts(region, key, starts)

    @property
    def digest(self) -> str:
        """Hash of atoms and frames."""
        content = json.dumps(self.to_json(), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    def to_json(self) -> dict[str, Any]:
        """As an object for a header."""
        return {
            "name": self.name,
            "template": encode(self.template),
            "own": self.own.tolist(),
            "frames": [frame.tolist() for frame in self.frames],
        }

    @classmethod
    def from_json(cls, stored: Any, source: str) -> Target:
        """Restore what `to_json` returned.

        **Raises:** `ValueError` that names `source` if it is something else.
        """
        try:
            template = decode(stored["template"])
            own = np.array(stored["own"], bool)
            frames = tuple(np.array(frame, float) for frame in stored["frames"])
            name = str(stored["name"])
        except Exception as error:
            raise ValueError(
                f"{source} is damaged: its atoms cannot be read"
            ) from error
        shape = (len(own), 3)
        if not isinstance(template, Atoms) or any(
            array.shape != shape for array in (template.positions, *frames)
        ):
            raise ValueError(f"{source} is damaged: its atoms do not fit together")
        return cls(name, template, own, frames)


def make_cluster(counts: dict[str, int], cell: Sequence[float] | None = None) -> Target:
    """Atoms in free space, or in a periodic cell.

    **Arguments:**

    - `counts`: number of atoms of each element.
    - `cell`: lengths and, if it is not rectangular, angles in degrees; `None` for free
      space.

    **Raises:** `ValueError` for a cell that is none.
    """
    unknown = [s for s in counts if s == "X" or s not in atomic_numbers]
    if unknown:
        raise ValueError(f"there is no element {', '.join(unknown)}")
    atoms = Atoms([symbol for symbol, count in counts.items() for _ in range(count)])
    if cell is not None:
        try:
            atoms.set_cell(cell)
        except Exception as error:
            raise ValueError(
                "a cell has three lengths in angstrom and, if it is not rectangular, "
                f"three angles in degrees, got {list(cell)}"
            ) from error
        atoms.pbc = True
    name = _format_counts(counts)
    return Target(name, atoms, np.ones(len(atoms), bool))


def put_on(slab: Atoms, counts: dict[str, int], source: str) -> Target:
    """Atoms above a slab, which is there already.

    **Arguments:**

    - `slab`: with its cell, periodic along its first two vectors, and constraints. If
      it is periodic along the third one, too, the atoms are between its images.
    - `counts`: number of atoms of each element above it.
    - `source`: where the slab comes from, for messages.

    **Raises:** `ValueError` for a slab that is not periodic along its first two cell
    vectors.
    """
    if not np.all(slab.pbc[:2]):
        raise ValueError(
            f"{source}: a slab must be periodic along its first two cell vectors, got "
            f"pbc {slab.pbc.tolist()}"
        )
    extra = make_cluster(counts)
    template = _strip(slab)
    template += extra.template
    own = np.arange(len(template)) >= len(slab)
    name = f"{extra.name}-on-{slab.get_chemical_formula()}"
    return Target(name, template, own)


def start_from(frames: Sequence[Atoms], source: str) -> Target:
    """The atoms of given structures, which are the starts.

    Cell and constraints are those of the first one.

    **Raises:** `ValueError` for no structures, structures of different atoms, or atoms
    that overlap.
    """
    if not frames:
        raise ValueError(f"{source} has no structures")
    first = _strip(frames[0])
    symbols = first.get_chemical_symbols()
    positions = []
    for number, frame in enumerate(frames):
        found = frame.get_chemical_symbols()
        if sorted(found) != sorted(symbols):
            raise ValueError(
                f"{source}: structure {number} is {frame.get_chemical_formula()}, but "
                f"the first one is {first.get_chemical_formula()}"
            )
        order = np.argsort(found, kind="stable")[
            np.argsort(np.argsort(symbols, kind="stable"), kind="stable")
        ]
        if not (
            np.array_equal(frame.pbc, first.pbc) and np.allclose(frame.cell, first.cell)
        ):
            raise ValueError(
                f"{source}: the cell of structure {number} is not that of the first one"
            )
        if have_overlap(frame):
            raise ValueError(f"{source}: atoms of structure {number} overlap")
        positions.append(frame.positions[order])
    name = first.get_chemical_formula()
    return Target(name, first, np.ones(len(first), bool), tuple(positions))


def read_structures(path: Path) -> list[Atoms]:
    """Read all structures of a file, in any format that ASE knows.

    **Raises:** `ValueError` or `OSError` if it cannot be read.
    """
    if not path.is_file():
        raise FileNotFoundError(2, "no such file", str(path))
    if path.suffix in (".xyz", ".extxyz"):
        return read_extxyz(path)
    try:
        images = ase.io.read(path, index=":")
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ValueError(f"{path}: ASE cannot read it ({reason})") from error
    return images if isinstance(images, list) else [images]


def _strip(atoms: Atoms) -> Atoms:
    """The atoms without calculator, and without what cannot be written as text."""
    stripped = atoms.copy()
    stripped.calc = None
    kinds = (bool, int, float, str)
    stripped.info = {k: v for k, v in atoms.info.items() if isinstance(v, kinds)}
    return stripped


def _format_counts(counts: dict[str, int]) -> str:
    return "".join(f"{symbol}{count}" for symbol, count in counts.items())
