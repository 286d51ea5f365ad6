"""The command line of a search: its options, and the plan that they describe."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

from hopgym._cli.arguments import (
    Parser,
    parse_count,
    parse_positive,
    parse_seed,
    parse_starts,
)
from hopgym._suggest import describe_unknown_name
from hopgym.optimizers import ZOO
from hopgym.optimizers.learned.weights import SUFFIX
from hopgym.structure_search.formula import resolve_system_name
from hopgym.structure_search.plan import Plan, hash_weights
from hopgym.systems.registry import potential_names

EXAMPLES = """\
examples:
  python -m hopgym.search Au55 --out au55/
  python -m hopgym.search Ag19Au19 --potential gupta --starts 100
  python -m hopgym.search LJ38 --optimizer bh-two-phase --steps 20000
  python -m hopgym.search Si64 --time-limit 600
  python -m hopgym.search --out au55/ --resume
Repeat the command, or use --resume, to resume an interrupted search. Open report.html
in the folder to see the results.
"""


def make_parser() -> Parser:
    """Parser of all options; those that are not given are absent from its result."""
    options = Parser(
        prog="hopgym.search",
        description="Search for the lowest minima of a cluster or crystal.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    add = options.add_argument
    add("target", nargs="?", metavar="FORMULA", help="such as Au55; or a system name")
    add(
        "--potential",
        metavar="NAME",
        help=f"{', '.join(potential_names())}, or with a parameter set, as in "
        "gupta-table4; default: lj for LJ38 and rare gases, sw for silicon, otherwise "
        "gupta",
    )
    add(
        "--optimizer",
        metavar="NAME",
        help=f"{', '.join(ZOO)}, or trained weights (FILE.eqx); default: bh-symmetric",
    )
    add(
        "--starts",
        type=parse_starts,
        metavar="N",
        help="number of random starts; default: 100",
    )
    add(
        "--steps",
        type=parse_count,
        metavar="N",
        help="energy evaluations per start; default: 50000",
    )
    add("--seed", type=parse_seed, help="random seed; default: 0")
    add(
        "--chunk",
        type=parse_count,
        metavar="N",
        help="collect minima every N steps; default: 1000, at most a tenth of --steps",
    )
    add(
        "--time-limit",
        type=parse_positive,
        metavar="S",
        help="stop after S seconds",
    )
    add(
        "--keep",
        type=parse_count,
        metavar="N",
        help="number of minima to report; default: 10",
    )
    add("--out", type=Path, metavar="DIR", help="default: searches/<system>")
    add("--resume", action="store_true", help="resume the search in DIR")
    return options


def make_plan(given: dict[str, Any]) -> Plan:
    """Make a plan from the options given on the command line.

    **Raises:** `ValueError` or `KeyError` for invalid options, `OSError` for weights
    that cannot be read.
    """
    if "target" not in given:
        raise ValueError("what to search is missing: give a formula such as Au55")
    steps = given.get("steps", 50_000)
    optimizer = given.get("optimizer", "bh-symmetric")
    if optimizer not in ZOO and not optimizer.endswith(SUFFIX):
        raise ValueError(describe_unknown_name("optimizer", optimizer, list(ZOO)))
    return Plan(
        system=resolve_system_name(given["target"], given.get("potential")),
        optimizer=optimizer,
        starts=given.get("starts", 100),
        steps=steps,
        seed=given.get("seed", 0),
        weights=hash_weights(optimizer),
        chunk=min(given.get("chunk", min(1000, -(-steps // 10))), steps),
    )


def update_plan(stored: Plan, given: dict[str, Any]) -> Plan:
    """Update a stored plan by the options given on the command line.

    **Raises:** as `make_plan`.
    """
    kept = dataclasses.asdict(stored)
    return make_plan({"target": kept.pop("system"), **kept, **given})


def check_extras() -> None:
    """Raise `ValueError` if a package required for reports is not installed."""
    for package in ("ase", "plotly"):
        if importlib.util.find_spec(package) is None:
            raise ValueError(
                f'a search needs {package}: pip install "hopgym[chemistry]"'
            )
