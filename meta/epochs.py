"""Recorded epochs of searches: what choices of groups can be trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, Int

from hopgym import _serialisation
from hopgym._schema import TEXT, Schema, integer, list_of

SUFFIX = ".epochs"
MOST_EPOCHS = 10**8  # of a file
SCHEMA: Schema = {  # of headers
    "system": TEXT,
    "groups": list_of(TEXT),
    "epochs": integer(1, MOST_EPOCHS),
}


class Epochs(eqx.Module):
    """Epochs of searches that chose one group each, sorted by group.

    Those of several systems follow each other.

    **Attributes:**

    - `first`: index of the first epoch of each group, and the number of all.
    - `energy`: lowest energy within the subspace, quenched loosely.
    - `lowest`: lowest energy of the whole epoch.
    - `inside`, `outside`: evaluations of hops within the subspace, and of what follows
      them if the epoch is promising: the tight quench, surface searches, free hops.
    - `hit`: evaluations until the reference minimum was met, 0 if it was not.
    """

    first: Int[np.ndarray | Array, "*systems groups_and_one"]
    energy: Float[np.ndarray | Array, " epochs"]
    lowest: Float[np.ndarray | Array, " epochs"]
    inside: Int[np.ndarray | Array, " epochs"]
    outside: Int[np.ndarray | Array, " epochs"]
    hit: Int[np.ndarray | Array, " epochs"]


def make_epochs(groups: int, rows: dict[str, np.ndarray], group: np.ndarray) -> Epochs:
    """Sort epochs by group.

    **Raises:** `ValueError` if a group has none.
    """
    count = np.bincount(group, minlength=groups)
    if not count.all():
        raise ValueError(
            f"{np.sum(count == 0)} of {groups} groups have no whole epoch: record more "
            "or longer runs"
        )
    order = np.argsort(group, kind="stable")
    first = np.concatenate([[0], np.cumsum(count)]).astype(np.int32)
    return Epochs(first=first, **{name: x[order] for name, x in rows.items()})


def compute_rates(
    epochs: Epochs, *, inside: bool = False
) -> Float[np.ndarray, " groups"]:
    """Hits per evaluation of each group.

    **Arguments:**

    - `inside`: whether only evaluations of hops within the subspace are counted, as in
      the evidence of a search.
    """
    hit, inner = np.asarray(epochs.hit), np.asarray(epochs.inside)
    whole = inner if inside else inner + np.asarray(epochs.outside)
    length = np.where(hit > 0, np.minimum(hit, whole), whole)
    first = epochs.first[:-1]
    hits = np.add.reduceat(hit > 0, first, dtype=np.int64)
    return hits / np.add.reduceat(length, first, dtype=np.int64)


def write(path: Path, epochs: Epochs, header: dict[str, Any]) -> None:
    """Write epochs to a file."""
    _serialisation.write(path, {**header, "epochs": len(epochs.hit)}, epochs)


def read(folder: Path, system: str, groups: list[str]) -> Epochs:
    """Read the epochs of a system from a folder.

    **Raises:** `ValueError` if there is no such file, it is damaged or of other groups,
    or no epoch met the minimum.
    """
    path = folder / f"{system}{SUFFIX}"
    if not path.is_file():
        raise ValueError(
            f"{folder} has no epochs of {system}: record them with "
            f"python -m hopgym.meta.record --systems {system} --out {folder}"
        )
    header = _serialisation.read_header(path, SCHEMA)
    if header["system"] != system or header["groups"] != groups:
        raise ValueError(f"{path} holds epochs of other groups than those of {system}")
    count = header["epochs"]
    energies, numbers = np.zeros(count, np.float32), np.zeros(count, np.int32)
    like = Epochs(
        first=np.zeros(len(groups) + 1, np.int32),
        **dict.fromkeys(("energy", "lowest"), energies),
        **dict.fromkeys(("inside", "outside", "hit"), numbers),
    )
    found = _serialisation.read(path, like)
    length = found.inside + found.outside
    sound = (length > 0).all() and (found.hit >= 0).all()
    if not sound or np.isnan(found.energy).any() or np.isnan(found.lowest).any():
        raise ValueError(f"{path} is damaged: epochs without evaluations or energies")
    if not found.hit.any():
        raise ValueError(f"{path}: no epoch met the minimum of {system}")
    return found
