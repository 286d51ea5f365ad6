"""The folder of a search: the checkpoint from which it goes on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from jaxtyping import PyTree

from hopgym import _serialisation
from hopgym.search.command_line import Plan

CHECKPOINT = "search.eqx"
HEADER = {"plan", "about", "done", "counts", "curve", "minima", "pairs", "seconds"}


class SearchFolder:
    """Files of a search; `search.eqx` holds all of its state.

    **Arguments:**

    - `path`: of the folder.
    """

    def __init__(self, path: Path):
        self.path = path

    @property
    def holds_a_search(self) -> bool:
        """Whether there is a search to go on with."""
        return (self.path / CHECKPOINT).exists()

    def header(self) -> dict[str, Any]:
        """Plan and progress of the search that is here.

        **Raises:** `ValueError` if there is none, or if its file is damaged or of
        another version.
        """
        if not self.holds_a_search:
            raise ValueError(f"{self.path} holds no search to resume")
        header = _serialisation.read_header(self.path / CHECKPOINT)
        missing = HEADER - header.keys()
        if missing:
            raise ValueError(
                f"{self.path / CHECKPOINT} says nothing of "
                f"{', '.join(sorted(missing))}: it is no search of this version"
            )
        return header

    def plan(self) -> Plan:
        """The plan of the search that is here.

        **Raises:** as `header`.
        """
        stored = self.header()["plan"]
        fields = {field.name for field in dataclasses.fields(Plan)}
        if stored.keys() != fields:
            raise ValueError(
                f"{self.path / CHECKPOINT} is of another version of hopgym"
            )
        return Plan(**stored)

    def save(self, header: dict[str, Any], arrays: PyTree) -> None:
        """Replace the checkpoint."""
        self.path.mkdir(parents=True, exist_ok=True)
        _serialisation.write(self.path / CHECKPOINT, header, arrays)

    def restore(self, like: PyTree) -> PyTree:
        """The arrays of the checkpoint.

        **Raises:** `ValueError` if they are not those of this search.
        """
        return _serialisation.read(self.path / CHECKPOINT, like)
