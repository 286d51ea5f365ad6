"""What verification finds in an entry: a file of JSON, from which scores are computed.

Its entries are those of the entry's header, and

- `files`: SHA-256 of `entry.toml` and of each file of structures;
- `checked`: versions and date of the verification;
- `systems`: for each system `steps` and `evaluations` of the first hit of each start
  (-1: none), `energies` of its best structures at each budget, quenched (null: no sound
  structure), and counts of what was found.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hopgym._atomic_write import atomic_write
from hopgym._schema import (
    OBJECT,
    Schema,
    check,
    integer,
    list_of,
    nullable,
    number,
)
from hopgym._serialisation import parse_json
from hopgym.suites.entry import FORMAT, Header, check_header
from hopgym.suites.entry import SCHEMA as HEADER_SCHEMA
from hopgym.suites.registry import get_suite
from hopgym.suites.structures import QUENCH
from hopgym.suites.suite import Suite

FILE = "verified.json"
DIGITS = 6  # of energies
SYSTEM_SCHEMA: Schema = {
    "steps": list_of(integer(-1)),
    "evaluations": list_of(integer(-1)),
    "energies": list_of(list_of(nullable(number()))),
    "unconfirmed": integer(),
    "unsound": integer(),
    "discoveries": list_of(number()),
}
SCHEMA: Schema = {
    "header": OBJECT,
    "files": OBJECT,
    "checked": OBJECT,
    "systems": OBJECT,
}


@dataclass(frozen=True)
class Found:
    """What was found on a system.

    **Attributes:** for starts and budgets,

    - `steps`, `evaluations`: `(starts,)`, of first hits, or -1;
    - `energies`: `(starts, budgets)`, of the best sound structures, infinite without
      any;
    - `unconfirmed`: number of claimed hits whose structures are not the minimum;
    - `unsound`: number of structures that are in several pieces or no minima;
    - `discoveries`: confirmed energies below the lowest known one, by more than the
      tolerance.
    """

    steps: np.ndarray
    evaluations: np.ndarray
    energies: np.ndarray
    unconfirmed: int
    unsound: int
    discoveries: list[float]

    @property
    def hits(self) -> int:
        """Number of starts that hit."""
        return int(np.sum(self.steps > 0))


@dataclass(frozen=True)
class Verified:
    """A verified entry; `systems` are those that it has."""

    header: Header
    files: dict[str, str]
    checked: dict[str, Any]
    systems: dict[str, Found]

    @property
    def is_complete(self) -> bool:
        """Whether it has all test systems of its suite."""
        return {*self.systems} == {*get_suite(self.header.suite).test}


def _limit(suite: Suite) -> Schema:
    """Limits of steps and evaluations in a suite."""
    return {
        "steps": list_of(integer(-1, suite.steps)),
        "evaluations": list_of(integer(-1, suite.steps + 1 + QUENCH)),
    }


def hash_files(paths: dict[str, Path]) -> dict[str, str]:
    """SHA-256 of files by name."""
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in paths.items()
    }


def write(path: Path, verified: Verified) -> None:
    """Write a verified entry.

    **Raises:** `OSError` if it cannot be written.
    """
    systems = {
        name: {
            "steps": found.steps.tolist(),
            "evaluations": found.evaluations.tolist(),
            "energies": [
                [round(x, DIGITS) if np.isfinite(x) else None for x in row]
                for row in found.energies.tolist()
            ],
            "unconfirmed": found.unconfirmed,
            "unsound": found.unsound,
            "discoveries": found.discoveries,
        }
        for name, found in verified.systems.items()
    }
    content = {
        "header": asdict(verified.header),
        "files": verified.files,
        "checked": verified.checked,
        "systems": systems,
    }
    atomic_write(path, json.dumps(content, separators=(",", ":")) + "\n")


def read(path: Path) -> Verified:
    """Read a verified entry.

    **Raises:** `ValueError` if it is damaged, or of an unknown suite; `OSError` if it
    cannot be read.
    """
    try:
        content = parse_json(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    check(content, SCHEMA, str(path), closed=True)
    check(content["header"], HEADER_SCHEMA, f"{path}: header", closed=True)
    header = Header(**content["header"])
    suite = check_header(header)
    if header.format != FORMAT or not content["systems"]:
        raise ValueError(f"{path} has another format, or no systems")
    shapes = (suite.starts, len(suite.budgets))
    systems = {}
    for name, own in content["systems"].items():
        where = f"{path}: {name}"
        if name not in suite.test:
            raise ValueError(f"{where} is no test system of suite {suite.version}")
        check(own, SYSTEM_SCHEMA, where, closed=True)
        check(own, {**SYSTEM_SCHEMA, **_limit(suite)}, where)
        rows = [[np.inf if x is None else x for x in row] for row in own["energies"]]
        if {len(own["steps"]), len(own["evaluations"]), len(rows)} != {shapes[0]} or {
            len(row) for row in rows
        } != {shapes[1]}:
            raise ValueError(f"{where} has not {shapes[0]} starts, {shapes[1]} budgets")
        systems[name] = Found(
            steps=np.array(own["steps"]),
            evaluations=np.array(own["evaluations"]),
            energies=np.array(rows, float),
            unconfirmed=own["unconfirmed"],
            unsound=own["unsound"],
            discoveries=own["discoveries"],
        )
    return Verified(header, content["files"], content["checked"], systems)
