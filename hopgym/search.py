"""Runs `python -m hopgym.search`; in Python, `hopgym.search` is a function."""

from hopgym._cli.process import run
from hopgym.structure_search.command import main

if __name__ == "__main__":
    run(main)
elif __name__ != "__mp_main__":  # as workers of the command import it
    raise ImportError(
        "hopgym.search is a function; the command is hopgym.structure_search.command"
    )
