"""Runs `python -m hopgym.search`."""

import sys

from hopgym.search.command import main

if __name__ == "__main__":
    sys.exit(main())
