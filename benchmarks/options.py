"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path

from hopgym._cli.arguments import (
    Parser,
    parse_count,
    parse_positive,
    parse_seed,
    parse_starts,
)


def add_budget_options(parser: Parser, *, starts: int, folder: str) -> None:
    """Add what is computed for each system, and where results are.

    **Arguments:**

    - `starts`, `folder`: default number of starts and results folder.
    """
    add = parser.add_argument
    add(
        "--starts",
        type=parse_starts,
        default=starts,
        help="random starts per system, default %(default)s",
    )
    add(
        "--steps",
        type=parse_count,
        default=50_000,
        help="search evaluations per start, default 50,000",
    )
    add(
        "--seed",
        type=parse_seed,
        default=0,
        help="seed of starts and searches, default 0",
    )
    add(
        "--out",
        type=Path,
        metavar="DIR",
        default=Path(folder),
        help="default: %(default)s",
    )


def add_run_options(parser: Parser) -> None:
    """Add how a run of cells goes about finished ones, and when it stops."""
    add = parser.add_argument
    add("--fresh", action="store_true", help="run finished cells again")
    add(
        "--time-limit",
        type=parse_positive,
        metavar="S",
        help="stop after S seconds; repeat the command to resume",
    )
