"""The command `python -m hopgym.search`."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from hopgym._cli.devices import use_all_cores
from hopgym._cli.interrupt import StopRequest
from hopgym._cli.provenance import describe_run, format_command
from hopgym._folder_lock import lock_folder
from hopgym.structure_search.command_line import (
    check_extras,
    make_parser,
)
from hopgym.structure_search.search_folder import SearchFolder

KEEP = 10  # minima to report


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0: all steps were done. 1: stopped early, by the time limit, a signal or an error.
    2: invalid arguments; nothing was changed. 130 or 143: left at once, by a second
    signal or by one before the search began; it can be resumed from the last
    checkpoint.
    """
    options = make_parser()
    given = vars(options.parse_args(arguments))
    resume = given.pop("resume", False)
    keep, limit = given.pop("keep", KEEP), given.pop("time_limit", None)
    stop = StopRequest(limit)
    with contextlib.ExitStack() as stack:
        try:
            check_extras()
            # Imported here, since they need optional packages.
            from hopgym.structure_search.choice import (
                choose_new,
                choose_stored,
                fit_to_folder,
            )
            from hopgym.structure_search.make_search import make_search
            from hopgym.structure_search.session import Session

            use_all_cores()
            path = given.pop("out", None)
            new = None if resume else choose_new(given)
            if path is None:
                path = Path("searches") / (new or choose_new(given)).folder_name
            is_new = not path.is_dir()
            if not is_new:
                stack.enter_context(lock_folder(path))
            choice = choose_stored(given, path) if new is None else new
            choice = fit_to_folder(choice, given, path)
            workers = given.get("workers", 1)
            folder = SearchFolder(path)
            command = format_command("python -m hopgym.search", arguments)
            search = make_search(
                choice.plan,
                folder,
                describe_run(command, ["ase"]),
                target=choice.target,
                source=choice.source,
                workers=workers,
            )
            stack.callback(search.walks.close)
            if is_new:  # nothing is created for invalid arguments
                stack.enter_context(lock_folder(path))
                folder.check_is_free()
            if not folder.has_search:
                search.save()
        except (KeyError, ValueError, OSError, RuntimeError) as error:
            options.fail(error)
        more = f" --workers {workers}" if workers > 1 else ""
        return Session(search, keep, stop, more).run()
