"""What the options of searches on a calculator describe: atoms, starts and the plan."""

from __future__ import annotations

import dataclasses
from typing import Any

from hopgym.calculators import CalculatorSource
from hopgym.structure_search.command_line import fill_plan
from hopgym.structure_search.formula import parse_formula
from hopgym.structure_search.plan import Plan
from hopgym.structure_search.target import (
    Target,
    make_cluster,
    put_on,
    read_structures,
    start_from,
)


def make_calculator_plan(
    given: dict[str, Any], target: Target, source: CalculatorSource
) -> Plan:
    """Make a plan of a search on a calculator.

    **Arguments:**

    - `given`: the options given on the command line.
    - `target`, `source`: its atoms and its calculator.

    **Raises:** as `hopgym.structure_search.command_line.make_plan`.
    """
    starts = max(10, len(target.frames))
    plan = fill_plan(given, target.name, starts=starts, steps=1000)
    return dataclasses.replace(
        plan,
        calculator=source.name,
        calculator_version=source.version,
        atoms=target.digest,
        length=given.get("length", 0.0),
        energy=given.get("energy", 0.0),
    )


def make_target(given: dict[str, Any]) -> Target:
    """Atoms and starts of a search on a calculator.

    **Raises:** `ValueError` for options that do not fit together, an invalid formula
    or structures that cannot be used; `OSError` for files that cannot be read.
    """
    places = [name for name in ("start", "on", "cell", "volume") if name in given]
    if len(places) > 1:
        raise ValueError(f"give one of --{' and --'.join(places)}, not both")
    if "start" in given:
        if "target" in given:
            raise ValueError("the atoms are those of --start: leave out the formula")
        return start_from(read_structures(given["start"]), str(given["start"]))
    if "target" not in given:
        raise ValueError(
            "what to search is missing: give a formula such as Pt13, or --start FILE"
        )
    counts = parse_formula(given["target"])
    if "on" in given:
        slabs = read_structures(given["on"])
        return put_on(slabs[-1], counts, str(given["on"]))
    cell = given.get("cell")
    if "volume" in given:
        cell = [given["volume"] ** (1 / 3)] * 3
    return make_cluster(counts, cell)
