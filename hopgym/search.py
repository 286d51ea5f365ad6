"""Runs `python -m hopgym.search`."""

from hopgym._cli.process import run
from hopgym.structure_search.command import main

if __name__ == "__main__":
    run(main)
