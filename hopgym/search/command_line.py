"""The command line of a search: what is asked for, checked before it is done."""

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
    parse_seconds,
    parse_seed,
)
from hopgym._suggest import unknown_name
from hopgym.optimizers import ZOO, AbstractOptimizer, load, make_optimizer
from hopgym.search.formula import resolve_system_name
from hopgym.systems import System
from hopgym.systems.registry import potential_names

MAX_STARTS = 100_000  # all of them are in memory at once

EXAMPLES = """\
examples:
  python -m hopgym.search Au55 --out au55/
  python -m hopgym.search Ag19Au19 --potential gupta --optimizer bh-lbfgs --starts 100
  python -m hopgym.search LJ38 --optimizer bh-two-phase --steps 20000
  python -m hopgym.search Si64 --time-limit 600
  python -m hopgym.search --out au55/ --resume
The same command again, or --resume, goes on where an interrupted one stopped. Open
report.html in the folder to look at what was found.
"""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a search depends on.

    **Attributes:**

    - `system`: its name.
    - `optimizer`: a name of the zoo, or a file.
    - `starts`, `steps`, `seed`: number and length of walks, and their randomness.
    - `chunk`: steps between harvests of minima.
    """

    system: str
    optimizer: str
    starts: int
    steps: int
    seed: int
    chunk: int

    def make_optimizer(self, system: System) -> AbstractOptimizer:
        """The optimizer.

        **Raises:** `KeyError` for an unknown name, `OSError` and `ValueError` for a
        file that is not there or holds none.
        """
        if self.optimizer.endswith(".eqx"):
            return load(self.optimizer)
        return make_optimizer(self.optimizer, system=system, steps=self.steps)


def parser() -> Parser:
    """All options. Those that are not given are not in the result."""
    options = Parser(
        prog="hopgym.search",
        description="Search for the lowest minima of a cluster or crystal.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    add = options.add_argument
    add("target", nargs="?", metavar="FORMULA", help="such as Au55, or a system's name")
    add(
        "--potential",
        metavar="NAME",
        help=f"{', '.join(potential_names())}, or a parameter set as in gupta-table4; "
        "default: lj for LJ38 and rare gases, sw for silicon, else gupta",
    )
    add(
        "--optimizer",
        metavar="NAME",
        help=f"{', '.join(ZOO)}, or a file of trained weights; default: bh-lbfgs",
    )
    add("--starts", type=_parse_starts, metavar="N", help="random starts, default 100")
    add(
        "--steps",
        type=parse_count,
        metavar="N",
        help="energy evaluations of each start, default 50000",
    )
    add("--seed", type=parse_seed, help="of everything random, default 0")
    add(
        "--chunk",
        type=parse_count,
        metavar="N",
        help="steps between two harvests of minima, default 1000 or a tenth of all",
    )
    add(
        "--time-limit",
        type=parse_seconds,
        metavar="S",
        help="stop after so many seconds",
    )
    add("--keep", type=parse_count, metavar="N", help="minima to report, default 10")
    add("--out", type=Path, metavar="DIR", help="default: searches/<system>")
    add("--resume", action="store_true", help="go on with the search in DIR")
    return options


def plan(given: dict[str, Any]) -> Plan:
    """The plan that options ask for.

    **Raises:** `ValueError` or `KeyError` for what makes no sense.
    """
    if "target" not in given:
        raise ValueError("say what to search: a formula such as Au55")
    steps = given.get("steps", 50_000)
    optimizer = given.get("optimizer", "bh-lbfgs")
    if optimizer not in ZOO and not optimizer.endswith(".eqx"):
        raise ValueError(unknown_name("optimizer", optimizer, list(ZOO)))
    return Plan(
        system=resolve_system_name(given["target"], given.get("potential")),
        optimizer=optimizer,
        starts=given.get("starts", 100),
        steps=steps,
        seed=given.get("seed", 0),
        chunk=min(given.get("chunk", min(1000, -(-steps // 10))), steps),
    )


def resumed(given: dict[str, Any], stored: Plan) -> Plan:
    """The stored plan, changed as options ask for.

    **Raises:** as `plan`.
    """
    kept = dataclasses.asdict(stored)
    return plan({"target": kept.pop("system"), **kept, **given})


def differences(stored: Plan, asked: Plan) -> str:
    """What two plans differ in; empty if they agree."""
    return "; ".join(
        f"{field.name} is {getattr(stored, field.name)}, not "
        f"{getattr(asked, field.name)}"
        for field in dataclasses.fields(Plan)
        if getattr(stored, field.name) != getattr(asked, field.name)
    )


def check_extras() -> None:
    """Raise `ValueError` if a package that reports need is not installed."""
    for package in ("ase", "plotly"):
        if importlib.util.find_spec(package) is None:
            raise ValueError(
                f'a search needs {package}: pip install "hopgym[chemistry]"'
            )


def _parse_starts(text: str) -> int:
    return parse_integer(text, 1, MAX_STARTS)
