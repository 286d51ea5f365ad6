"""The folder of a search and its checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jaxtyping import PyTree

from hopgym import _serialisation
from hopgym._cli.arguments import MAX_COUNT
from hopgym._schema import (
    FLAG,
    OBJECT,
    TEXT,
    Schema,
    check,
    integer,
    list_of,
    number,
    optional,
)
from hopgym.structure_search.plan import Plan, describe_differences

CHECKPOINT = "search.eqx"
SCHEMA: Schema = {
    "plan": OBJECT,
    "about": OBJECT,
    "done": integer(0, MAX_COUNT),
    "collected": optional(integer(0, MAX_COUNT)),
    "counts": list_of(integer(), range(4, 5)),
    "fragmented": optional(integer()),
    "curve": list_of(list_of(number(), range(4, 5))),
    "minima": integer(),
    "pairs": integer(),
    "walks": optional(OBJECT),
    "setup": optional(OBJECT),
    "has_begun_chunk": optional(FLAG),
    "seconds": number(0.0),
}
# Of a search on a calculator.
SETUP_SCHEMA: Schema = {
    "target": OBJECT,
    "calculator": TEXT,
    "length": number(0.0),
    "energy": number(0.0),
    "evaluations": integer(),
}
# What a report consists of; only a folder with a checkpoint may hold them.
RESULTS = ("minima.json", "minima.csv", "minima.extxyz", "report.html", "pictures")
START_BYTES = 3 * 3 * 4  # per atom: positions, gradient and best positions of a start


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
        return _serialisation.read_header(self.path / CHECKPOINT, SCHEMA)

    def read_plan(self) -> Plan:
        """Read the plan of the search from the checkpoint.

        **Raises:** as `read_header`.
        """
        return Plan.from_json(self.read_header()["plan"], str(self.path / CHECKPOINT))

    def read_setup(self) -> dict[str, Any]:
        """Read what makes the walks of a search on a calculator from the checkpoint.

        **Raises:** as `read_header`.
        """
        setup = self.read_header().get("setup", {})
        check(setup, SETUP_SCHEMA, f"{self.path / CHECKPOINT}: setup")
        return setup

    def check_size(
        self, starts: int, atoms: int, minima: int = 0, pairs: int = 0
    ) -> None:
        """Check that the checkpoint is large enough for its arrays.

        **Arguments:**

        - `starts`, `atoms`: number of starts, and of atoms of each.
        - `minima`, `pairs`: see `hopgym.minima.pool.Pool.blank`.

        **Raises:** `ValueError` if it is not.
        """
        least = START_BYTES * starts * atoms + minima * (12 * atoms + 16) + pairs * 16
        _serialisation.check_size(self.path / CHECKPOINT, least)

    def check_is_free(self) -> None:
        """Check that a new search can write to the folder.

        **Raises:** `ValueError` if it holds a search, or results of unknown origin.
        """
        if self.has_search:
            raise ValueError(f"{self.path} holds another search: choose another --out")
        found = [name for name in RESULTS if (self.path / name).exists()]
        if found:
            raise ValueError(
                f"{self.path} holds {found[0]} but no {CHECKPOINT}, and would be "
                "overwritten: choose another --out"
            )

    def save(self, plan: Plan, header: dict[str, Any], arrays: PyTree) -> None:
        """Write the checkpoint; an existing one must be of the same plan.

        **Raises:** `OSError` if it cannot be written, or is of another plan.
        """
        path = self.path / CHECKPOINT
        exists = path.exists()
        if exists:
            self._check_owner(plan)
        _serialisation.write(path, header, arrays, exclusive=not exists)

    def _check_owner(self, plan: Plan) -> None:
        path = self.path / CHECKPOINT
        try:
            stored = _serialisation.peek_header(path).get("plan")
            difference = describe_differences(Plan.from_json(stored, str(path)), plan)
        except ValueError as error:
            raise OSError(str(error)) from error
        if difference:
            raise OSError(f"it holds another search by now ({difference})")

    def restore(self, like: PyTree) -> PyTree:
        """Read the arrays of the checkpoint into a pytree with the structure of `like`.

        **Raises:** `ValueError` if the arrays do not fit `like`.
        """
        return _serialisation.read(self.path / CHECKPOINT, like)
