"""The benchmark: optimizers on systems under one protocol, see README.md.

python benchmarks/run.py --help
"""

from __future__ import annotations

import os
import sys

if not __package__:  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == "__main__":
    from benchmarks import start as start

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import command_line
from benchmarks.runner import publish_table, run_cells
from benchmarks.store import RECORD, Store
from hopgym._cli.arguments import describe_error
from hopgym._cli.process import run as run_command
from hopgym._cli.progress import say
from hopgym._folder_lock import InUse, lock_folder
from hopgym.evaluation import report


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0: all cells are finished. 1: cells failed, or the time limit was reached. 2:
    invalid arguments; nothing was computed. 130 or 143: ended by a signal; finished
    cells are kept.
    """
    parser = command_line.make_parser()
    args = parser.parse_args(arguments)
    if args.list:
        print(command_line.list_choices())
        return 0
    if args.report is None:
        return run_cells(
            parser,
            args,
            arguments,
            choose=command_line.choose_cells,
            folder=args.out or Path("results") / args.preset,
            publish=publish_table,
        )
    try:
        _report(args)
    except ValueError as error:
        parser.fail(error)
    except OSError as error:
        parser.error(f"cannot write results: {describe_error(error)}")
    return 0


def _report(args: Any) -> None:
    """Print and draw the finished cells selected by `--report`.

    They are printed only while another process writes to the folder.

    **Raises:** `ValueError` if there are none, or the folder cannot be written to.
    """
    folder = args.report
    if not (folder / RECORD).is_file() and not (folder / "cells").is_dir():
        raise ValueError(f"{folder} holds no results")
    store = Store(folder)
    cells, complaints = store.load_all()
    for complaint in complaints:
        say(f"{complaint}: left out")
    selected = [cell for cell in cells if command_line.is_selected(args, cell)]
    # As in the table: the last of cells that differ in settings only.
    groups = report.group_cells(selected)
    shown = [cell for _, members in groups for cell in members]
    if not shown:
        raise ValueError(f"{folder} holds no such results")
    try:
        with lock_folder(folder):
            publish_table(args, store, shown, [])
    except InUse as error:
        print(report.render(shown, [], markdown=args.markdown), flush=True)
        say(f"no files are written: {error}")


if __name__ == "__main__":
    run_command(main)
