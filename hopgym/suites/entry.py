"""The folder of an entry: `entry.toml`, and the structures of each system."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hopgym._atomic_write import atomic_write
from hopgym._schema import TEXT, Schema, check, choice, integer, list_of, object_of
from hopgym.evaluation.run_cell import PROTOCOL
from hopgym.suites.registry import get_suite
from hopgym.suites.suite import RULESETS, Suite

FORMAT = 1
HEADER = "entry.toml"
STRUCTURES = "structures"
LONGEST = 2000  # characters of a text
LONGEST_NAME = 60
SCHEMA: Schema = {
    "format": integer(1),
    "protocol": integer(1),
    "suite": TEXT,
    "name": TEXT,
    "authors": list_of(TEXT, range(1, 100)),
    "ruleset": choice(*RULESETS),
    "tuning": TEXT,
    "reference": TEXT,
    "optimizer": TEXT,
    "source": TEXT,
    "command": TEXT,
    "date": TEXT,
    "machine": TEXT,
    "versions": object_of({}),
}


@dataclass(frozen=True)
class Header:
    """What an entry says about itself.

    **Arguments:**

    - `suite`: version of the suite.
    - `name`: name in the leaderboard.
    - `authors`: names.
    - `ruleset`: one of `hopgym.suites.suite.RULESETS`.
    - `tuning`: how the configuration was chosen, and on which systems.
    - `reference`: paper or address; may be empty.
    - `optimizer`: what was run, as on the command line.
    - `source`: hash of its file; empty for the zoo.
    - `protocol`: of the benchmark, by which evaluations and hits are counted.
    - `command`, `date`, `machine`, `versions`: provenance.
    """

    suite: str
    name: str
    authors: list[str]
    ruleset: str
    tuning: str
    reference: str
    optimizer: str
    source: str
    protocol: int
    command: str
    date: str
    machine: str
    versions: dict[str, str]
    format: int = FORMAT

    def describe_difference(self, other: Header) -> str:
        """What makes two headers those of different entries; empty for nothing."""
        names = ("suite", "ruleset", "optimizer", "source", "protocol")
        pairs = [(n, getattr(self, n), getattr(other, n)) for n in names]
        for package in ("hopgym", "jax"):
            versions = (self.versions.get(package), other.versions.get(package))
            pairs.append((package, *versions))
        return ", ".join(
            f"{n} {own!r} instead of {theirs!r}"
            for n, own, theirs in pairs
            if own != theirs
        )


def write_header(folder: Path, header: Header) -> None:
    """Write `entry.toml`.

    **Raises:** `OSError` if it cannot be written.
    """
    entries = asdict(header)
    versions = entries.pop("versions")
    lines = [f"{name} = {_format(value)}" for name, value in entries.items()]
    lines += ["", "[versions]"]
    lines += [f"{_format(name)} = {_format(value)}" for name, value in versions.items()]
    atomic_write(folder / HEADER, "\n".join(lines) + "\n")


def _format(value: Any) -> str:
    """Format a value as TOML; texts, lists of texts and integers are as in JSON."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def read_header(folder: Path) -> Header:
    """Read `entry.toml`.

    **Raises:** `ValueError` if there is none, or it is damaged or of another format.
    """
    path = folder / HEADER
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"{folder} is no entry: it has no {HEADER}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if entries.get("format") != FORMAT:
        raise ValueError(
            f"{path} has format {entries.get('format')!r}; this version of hopgym "
            f"reads {FORMAT}"
        )
    check(entries, SCHEMA, str(path), closed=True)
    versions = {str(k): str(v) for k, v in entries.pop("versions").items()}
    header = Header(**entries, versions=versions)
    check_header(header)
    return header


def check_header(header: Header) -> Suite:
    """Check what the authors declare, and return the suite.

    **Raises:** `ValueError` for an unknown suite or ruleset, an empty or overlong text,
    or the ruleset `tuned` without a word about the tuning.
    """
    suite = get_suite(header.suite)
    if header.protocol != PROTOCOL:
        raise ValueError(
            f"the entry was made under protocol {header.protocol}; this version of "
            f"hopgym verifies {PROTOCOL}"
        )
    if not header.authors:
        raise ValueError("the entry has no authors: every entry states them")
    if len(header.name) > LONGEST_NAME or "\n" in header.name or "$" in header.name:
        raise ValueError(
            f"the name of the entry must be one line of at most {LONGEST_NAME} "
            f"characters without $, got {header.name[:LONGEST_NAME]!r}"
        )
    if header.ruleset not in RULESETS:
        raise ValueError(
            f"unknown ruleset {header.ruleset!r}: choose one of {', '.join(RULESETS)}"
        )
    texts = {"name": header.name, "tuning": header.tuning}
    texts |= {f"author {number}": one for number, one in enumerate(header.authors, 1)}
    for what, text in texts.items():
        if not text.strip():
            raise ValueError(f"the entry has no {what}: every entry states it")
    for what, text in {**texts, "reference": header.reference}.items():
        if len(text) > LONGEST or not text.replace("\n", "").isprintable():
            raise ValueError(
                f"the {what} of the entry must be printable text of at most "
                f"{LONGEST:,} characters"
            )
    return suite


def find_structures(folder: Path, suite: Suite) -> dict[str, Path]:
    """The files of structures by system, in the order of the suite.

    **Raises:** `ValueError` for files of other systems, or none at all.
    """
    found = {path.stem: path for path in sorted((folder / STRUCTURES).glob("*.npz"))}
    others = sorted(found.keys() - {*suite.test})
    if others:
        raise ValueError(
            f"{folder / STRUCTURES} has {others[0]}, which is no test system of suite "
            f"{suite.version}"
        )
    if not found:
        raise ValueError(f"{folder} has no structures yet")
    return {name: found[name] for name in suite.test if name in found}


def locate_structures(folder: Path, system: str) -> Path:
    """The file of structures of a system."""
    return folder / STRUCTURES / f"{system}.npz"
