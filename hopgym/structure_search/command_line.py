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
    parse_integer,
    parse_positive,
    parse_seed,
    parse_starts,
)
from hopgym._suggest import describe_unknown_name
from hopgym.calculators import CALCULATORS
from hopgym.optimizers import ZOO
from hopgym.optimizers.learned.weights import SUFFIX
from hopgym.structure_search.formula import resolve_system_name
from hopgym.structure_search.plan import Plan, hash_weights
from hopgym.systems.registry import potential_names

CALCULATOR_OPTIONS = (
    *("workers", "start", "on", "cell", "volume", "length", "energy"),
)
MAX_WORKERS = 1000

EXAMPLES = """\
examples:
  python -m hopgym.search Au55 --out au55/
  python -m hopgym.search Ag19Au19 --potential gupta --starts 100
  python -m hopgym.search LJ38 --optimizer bh-two-phase --steps 20000
  python -m hopgym.search Si64 --time-limit 600
  python -m hopgym.search --out au55/ --resume
  python -m hopgym.search Pt13 --calculator sevennet --starts 8 --steps 1000
  python -m hopgym.search Cu5 --on slab.xyz --calculator my_file.py:make --workers 4
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
        help="number of starts; default: 100, with a calculator 10 or all structures",
    )
    add(
        "--steps",
        type=parse_count,
        metavar="N",
        help="energy evaluations per start; default: 50000, with a calculator 1000",
    )
    add("--seed", type=parse_seed, help="random seed; default: 0")
    _add_calculator_options(options)
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


def _add_calculator_options(options: Parser) -> None:
    group = options.add_argument_group("searches on a calculator of ASE")
    add = group.add_argument
    add(
        "--calculator",
        metavar="NAME",
        help=f"{', '.join(CALCULATORS)}, or FILE.py:NAME of a function that makes one",
    )
    add(
        "--workers",
        type=parse_workers,
        metavar="N",
        help="processes that evaluate structures; default: 1",
    )
    add(
        "--start",
        type=Path,
        metavar="FILE",
        help="structures to start from, in a format of ASE, instead of a formula",
    )
    add(
        "--on",
        type=Path,
        metavar="FILE",
        help="slab above which the atoms of the formula are; its constraints hold",
    )
    add(
        "--cell",
        type=parse_cell,
        metavar="A,B,C",
        help="periodic cell, in angstrom, with angles in degrees if there are six",
    )
    add(
        "--volume",
        type=parse_positive,
        metavar="V",
        help="a cubic periodic cell of this volume, in cubic angstrom",
    )
    add(
        "--length",
        type=parse_positive,
        metavar="L",
        help="unit of length, about a bond length in angstrom; default: estimated",
    )
    add(
        "--energy",
        type=parse_positive,
        metavar="E",
        help="unit of energy, about an eighth of the energy per atom in eV; default: "
        "estimated",
    )


def make_plan(given: dict[str, Any]) -> Plan:
    """Make a plan from the options given on the command line.

    **Raises:** `ValueError` or `KeyError` for invalid options, `OSError` for weights
    that cannot be read.
    """
    if "target" not in given:
        raise ValueError("what to search is missing: give a formula such as Au55")
    system = resolve_system_name(given["target"], given.get("potential"))
    return fill_plan(given, system, starts=100, steps=50_000)


def fill_plan(given: dict[str, Any], system: str, starts: int, steps: int) -> Plan:
    """Make the plan of a system.

    **Arguments:**

    - `given`: the options given on the command line.
    - `system`: its name.
    - `starts`, `steps`: default numbers of both.

    **Raises:** as `make_plan`.
    """
    steps = given.get("steps", steps)
    optimizer = given.get("optimizer", "bh-symmetric")
    if optimizer not in ZOO and not optimizer.endswith(SUFFIX):
        raise ValueError(describe_unknown_name("optimizer", optimizer, list(ZOO)))
    return Plan(
        system=system,
        optimizer=optimizer,
        starts=given.get("starts", starts),
        steps=steps,
        seed=given.get("seed", 0),
        weights=hash_weights(optimizer),
        chunk=min(given.get("chunk", min(1000, -(-steps // 10))), steps),
    )


def check_option_groups(given: dict[str, Any]) -> None:
    """Check that options for calculators come with a calculator, and others without.

    **Raises:** `ValueError` that names the option.
    """
    has_calculator = "calculator" in given
    for name in CALCULATOR_OPTIONS:
        if name in given and not has_calculator:
            raise ValueError(f"--{name} is for searches on a --calculator")
    if has_calculator and "potential" in given:
        raise ValueError("give a --potential or a --calculator, not both")


def parse_workers(text: str) -> int:
    """Parse a number of processes.

    **Raises:** as `parse_integer`.
    """
    return parse_integer(text, 1, MAX_WORKERS)


def parse_cell(text: str) -> list[float]:
    """Parse three lengths, or three lengths and three angles.

    **Raises:** `argparse.ArgumentTypeError` for anything else.
    """
    numbers = [parse_positive(part) for part in text.split(",")]
    if len(numbers) not in (3, 6):
        raise argparse.ArgumentTypeError(
            f"must be three lengths, or also three angles, got {text!r}"
        )
    return numbers


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
