"""Runs `python -m hopgym.search`."""

from hopgym._cli.process import run
from hopgym.search.command import main

if __name__ == "__main__":
    run(main)
