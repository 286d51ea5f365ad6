"""Entries of extended XYZ headers, encoded such that they are read back unchanged."""

from __future__ import annotations

import json
import numbers
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from ase.calculators.calculator import all_properties
from ase.io.extxyz import key_val_dict_to_str, key_val_str_to_dict

from hopgym.chemistry._extxyz_frames import convert_header

# Read as columns, cell, boundary conditions or results of a calculator.
RESERVED = {"Properties", "Lattice", "pbc", *all_properties}


def encode_info(info: Mapping[str, Any]) -> dict[str, Any]:
    """Encode entries such that ASE writes what it reads back as the same values.

    Entries that are `None` or an empty string are left out.

    **Raises:** `ValueError` for names with another meaning, and for entries that would
    be read back as something else.
    """
    encoded = {}
    for key, value in info.items():
        if key in RESERVED:
            raise ValueError(
                f"info: {key!r} has a meaning of its own in extended XYZ files: use "
                "another name"
            )
        if value is None or (isinstance(value, str) and not value):
            continue
        for candidate in _list_encodings(value):
            if _is_read_back(key, value, candidate):
                encoded[key] = candidate
                break
        else:
            raise ValueError(
                f"info: {key!r} with the value {value!r} would not be read back from "
                "an extended XYZ file"
            )
    return encoded


def _list_encodings(value: Any) -> Iterator[Any]:
    """The value itself if ASE may write it as text, then as JSON in a string."""
    if isinstance(value, str | numbers.Real | np.bool_ | np.ndarray):
        yield value
    plain = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    try:
        # ASE reads a backslash as an escape, but does not write it as one.
        yield "_JSON " + json.dumps(plain).replace("\\", "\\\\")
    except (TypeError, ValueError):
        return


def _is_read_back(key: Any, value: Any, candidate: Any) -> bool:
    try:
        entry = key_val_dict_to_str({key: candidate})
        header = f"Properties=species:S:1:pos:R:3 {entry} pbc=T"
        found = key_val_str_to_dict(convert_header(header))
        is_line = len(entry.encode().splitlines()) == 1
    except Exception:  # whatever ASE raises for what it cannot write or read
        return False
    others = {"Properties": "species:S:1:pos:R:3", "pbc": True}
    return (
        is_line
        and found.keys() == {key, *others}
        and all(found[name] == other for name, other in others.items())
        and _is_same(value, found[key])
    )


def _is_same(value: Any, found: Any) -> bool:
    if isinstance(value, str | dict):
        return type(value) is type(found) and value == found
    try:
        ours, theirs = np.asarray(value), np.asarray(found)
    except ValueError:  # nested sequences of different lengths
        return value == found
    if ours.dtype.kind not in "biuf":
        return type(value) is type(found) and value == found
    if ours.shape != theirs.shape:
        return False
    kinds = [x.dtype.kind.replace("u", "i") for x in (ours, theirs)]
    # As Python's numbers, which NumPy may have rounded.
    exact = np.ravel(np.asarray(value, object)).tolist()
    pairs = zip(exact, np.ravel(theirs).tolist(), strict=True)
    return kinds[0] == kinds[1] and all(x == y or (x != x and y != y) for x, y in pairs)
