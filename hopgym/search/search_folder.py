"""The folder of a search and its checkpoint."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from jaxtyping import PyTree

from hopgym import _serialisation
from hopgym.search.plan import Plan

CHECKPOINT = "search.eqx"
HEADER = {"plan", "about", "done", "counts", "curve", "minima", "pairs", "seconds"}


class SearchFolder:
    """Folder of a search; `search.eqx` in it is the checkpoint.

    **Arguments:**

    - `path`: path of the folder.
    """

    def __init__(self, path: Path):
        self.path = path

    @property
    def has_search(self) -> bool:
        """Whether the folder has a checkpoint."""
        return (self.path / CHECKPOINT).exists()

    def read_header(self) -> dict[str, Any]:
        """Read plan and progress of the search from the checkpoint.

        **Raises:** `ValueError` if there is no checkpoint, or it is damaged or from
        another version of hopgym.
        """
        if not self.has_search:
            raise ValueError(f"{self.path} holds no search to resume")
        return _serialisation.read_header(self.path / CHECKPOINT, HEADER)

    def read_plan(self) -> Plan:
        """Read the plan of the search from the checkpoint.

        **Raises:** as `read_header`.
        """
        stored = self.read_header()["plan"]
        fields = {field.name for field in dataclasses.fields(Plan)}
        if stored.keys() != fields:
            raise ValueError(
                f"{self.path / CHECKPOINT} was written by another version of hopgym"
            )
        return Plan(**stored)

    def save(self, header: dict[str, Any], arrays: PyTree) -> None:
        """Write the checkpoint, replacing an existing one."""
        self.path.mkdir(parents=True, exist_ok=True)
        _serialisation.write(self.path / CHECKPOINT, header, arrays)

    def restore(self, like: PyTree) -> PyTree:
        """Read the arrays of the checkpoint into a pytree with the structure of `like`.

        **Raises:** `ValueError` if the arrays do not fit `like`.
        """
        return _serialisation.read(self.path / CHECKPOINT, like)
