"""Makes an entry of another program, on the Lennard-Jones clusters of a suite.

python benchmarks/enter_external.py --help
"""

from __future__ import annotations

import os
import sys

if not __package__:  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == "__main__":
    from benchmarks import start as start

from collections.abc import Sequence

from benchmarks import external_cell
from benchmarks.external_programs import PROGRAMS
from hopgym._cli.arguments import Parser
from hopgym._cli.process import run as run_command
from hopgym._cli.provenance import format_command
from hopgym.evaluation.plugins import Entry
from hopgym.suites.enter import add_header_options, make_entry
from hopgym.suites.registry import get_suite


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code, as that of `hopgym.suites.enter`."""
    parser = Parser(
        prog="enter_external.py",
        description=(__doc__ or "").splitlines()[0],
        epilog="Repeat the command to resume an interrupted one.",
        allow_abbrev=False,
    )
    names = ", ".join(PROGRAMS)
    parser.add_argument(
        "program", metavar="PROGRAM", choices=list(PROGRAMS), help=names
    )
    add_header_options(parser)
    args = parser.parse_args(arguments)
    known = [name for name in get_suite(args.suite).test if name.startswith("LJ-")]
    args.systems = known if args.systems is None else args.systems
    others = [name for name in args.systems if name not in known]
    if others:
        parser.error(f"the programs search for the LJ clusters, not for {others[0]}")
    try:
        program = PROGRAMS[args.program]()
    except ValueError as error:
        parser.fail(error)
    entry = Entry(args.program, lambda system, steps: program)
    command = format_command("python benchmarks/enter_external.py", arguments)
    return make_entry(parser, args, entry, command, external_cell.run)


if __name__ == "__main__":
    run_command(main)
