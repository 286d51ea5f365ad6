"""Schemas of files: which entries they have, and which values these may have."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

LONGEST_REPR = 40
LARGEST = 2**63 - 1


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of value.

    **Attributes:**

    - `name`: its name in messages, such as "a text".
    - `accepts`: whether a value is of this kind.
    - `required`: whether the entry may be absent.
    """

    name: str
    accepts: Callable[[Any], bool]
    required: bool = True


Schema = Mapping[str, Kind]


def check(entries: Any, schema: Schema, source: str, *, closed: bool = False) -> None:
    """Check entries that were read from a file.

    **Arguments:**

    - `entries`: the entries.
    - `schema`: kinds of the known entries.
    - `source`: where they were read, for messages.
    - `closed`: whether other entries are errors.

    **Raises:** `ValueError` with one line for the first entry that is absent, unknown
    or of another kind.
    """
    if not isinstance(entries, dict):
        raise ValueError(f"{source} must be an object, got {_shorten(entries)}")
    missing = [name for name in schema if schema[name].required and name not in entries]
    if missing:
        raise ValueError(
            f"{source} has no entry {', '.join(sorted(missing))}: it was written by "
            "another version of hopgym, which can resume it"
        )
    unknown = sorted(entries.keys() - schema.keys()) if closed else []
    if unknown:
        raise ValueError(
            f"{source} has an unknown entry {', '.join(unknown)}: it was written by "
            "another version of hopgym, which can resume it"
        )
    for name, kind in schema.items():
        if name in entries and not kind.accepts(entries[name]):
            raise ValueError(
                f"{source}: {name} must be {kind.name}, got {_shorten(entries[name])}"
            )


def integer(least: int = 0, most: int = LARGEST) -> Kind:
    """An integer within limits."""
    name = f"an integer from {least}" + (f" to {most}" if most < LARGEST else "")
    return Kind(name, lambda value: _is_integer(value) and least <= value <= most)


def number(least: float = -math.inf) -> Kind:
    """A finite number."""
    return Kind(
        "a finite number" + (f" from {least:g}" if least > -math.inf else ""),
        lambda value: (
            (_is_integer(value) or isinstance(value, float))
            and -math.inf < value < math.inf
            and value >= least
        ),
    )


def list_of(kind: Kind, lengths: range | None = None) -> Kind:
    """A list of values of a kind, with a number of entries in `lengths`."""
    return Kind(
        f"a list, each entry {kind.name}"
        + ("" if lengths is None else f", of length {_describe(lengths)}"),
        lambda value: (
            isinstance(value, list)
            and (lengths is None or len(value) in lengths)
            and all(map(kind.accepts, value))
        ),
    )


def row_of(*kinds: Kind) -> Kind:
    """A list with one entry of each kind."""
    return Kind(
        f"a list of {', '.join(kind.name for kind in kinds)}",
        lambda value: (
            isinstance(value, list)
            and len(value) == len(kinds)
            and all(k.accepts(entry) for k, entry in zip(kinds, value, strict=True))
        ),
    )


def object_of(fields: Schema) -> Kind:
    """An object with entries of given kinds; it may have others."""
    return Kind(
        "an object with " + ", ".join(f"{k} ({v.name})" for k, v in fields.items()),
        lambda value: (
            isinstance(value, dict)
            and all(name in value for name in fields if fields[name].required)
            and all(k.accepts(value[n]) for n, k in fields.items() if n in value)
        ),
    )


def nullable(kind: Kind) -> Kind:
    """A value of a kind, or null."""
    return Kind(
        f"{kind.name} or null",
        lambda value: value is None or kind.accepts(value),
        kind.required,
    )


def optional(kind: Kind) -> Kind:
    """An entry that may be absent."""
    return dataclasses.replace(kind, required=False)


def choice(*values: str) -> Kind:
    """One of several texts."""
    return Kind(
        f"one of {', '.join(values)}",
        lambda value: isinstance(value, str) and value in values,
    )


TEXT = Kind("a text", lambda value: isinstance(value, str))
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
OBJECT = Kind("an object", lambda value: isinstance(value, dict))


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _describe(lengths: range) -> str:
    if len(lengths) == 1:
        return str(lengths.start)
    return f"{lengths.start} to {lengths.stop - 1}"


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_REPR else f"{text[:LONGEST_REPR]}..."
