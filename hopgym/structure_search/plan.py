"""The plan of a search: the settings that determine it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from hopgym._cli.arguments import MAX_COUNT, MAX_STARTS
from hopgym._schema import TEXT, Schema, check, integer, number, optional
from hopgym.context import SystemInfo
from hopgym.optimizers import AbstractOptimizer, make_optimizer, read_header
from hopgym.optimizers.learned.weights import SUFFIX

SCHEMA: Schema = {
    "system": TEXT,
    "optimizer": TEXT,
    "starts": integer(1, MAX_STARTS),
    "steps": integer(1, MAX_COUNT),
    "seed": integer(0, MAX_COUNT),
    "chunk": integer(1, MAX_COUNT),
    "weights": optional(TEXT),
    "calculator": optional(TEXT),
    "calculator_version": optional(TEXT),
    "atoms": optional(TEXT),
    "length": optional(number(0.0)),
    "energy": optional(number(0.0)),
}


@dataclasses.dataclass(frozen=True)
class Plan:
    """The settings that determine a search.

    **Attributes:**

    - `system`: name of the system.
    - `optimizer`: name of an optimizer of the zoo, or a file of trained weights.
    - `starts`, `steps`, `seed`: number and length of walks, and their random seed.
    - `chunk`: number of steps after which structures are quenched and collected.
    - `weights`: hash of the file of trained weights; empty for the zoo.
    - `calculator`, `calculator_version`: name of the calculator, and its version or the
      hash of its file; empty for a potential of hopgym.
    - `atoms`: hash of the atoms and starts of a search on a calculator.
    - `length`, `energy`: units of such a search; 0 if they are estimated.
    """

    system: str
    optimizer: str
    starts: int
    steps: int
    seed: int
    chunk: int
    weights: str = ""
    calculator: str = ""
    calculator_version: str = ""
    atoms: str = ""
    length: float = 0.0
    energy: float = 0.0

    @classmethod
    def from_json(cls, stored: Any, source: str) -> Plan:
        """Make a plan from what was read from a file.

        **Raises:** `ValueError` that names `source` if it is no plan.
        """
        check(stored, SCHEMA, source, closed=True)
        return cls(**stored)

    def make_optimizer(self, system: SystemInfo) -> AbstractOptimizer:
        """Make the optimizer.

        **Raises:** `KeyError` for an unknown name; `OSError` for a file that cannot be
        read; `ValueError` for one that holds no optimizer.
        """
        return make_optimizer(self.optimizer, system=system, steps=self.steps)


def hash_weights(optimizer: str) -> str:
    """Hash of a file of trained weights; empty for the name of an optimizer.

    **Raises:** `OSError` if it cannot be read; `ValueError` if it holds no weights.
    """
    if not optimizer.endswith(SUFFIX):
        return ""
    return read_header(optimizer)["sha256"][:12]


def describe_differences(
    stored: Plan, requested: Plan, growing: Iterable[str] = ("steps", "starts")
) -> str:
    """Describe the differences between two plans.

    **Arguments:**

    - `stored`, `requested`: the plans.
    - `growing`: fields that may grow; starts do so on calculators only.

    **Returns:** text that is empty if they agree, or if `requested` prolongs `stored`.
    """
    return "; ".join(
        f"{field.name} is {getattr(stored, field.name)}, not "
        f"{getattr(requested, field.name)}"
        for field in dataclasses.fields(Plan)
        if not _agree(field.name, stored, requested, field.name in growing)
    )


def _agree(field: str, stored: Plan, requested: Plan, may_grow: bool) -> bool:
    before, after = getattr(stored, field), getattr(requested, field)
    if field == "starts" and not stored.calculator:
        may_grow = False
    return before == after or (may_grow and after > before)
