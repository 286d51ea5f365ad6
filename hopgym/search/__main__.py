"""python -m hopgym.search --help."""

import sys

from hopgym.search.command import main

if __name__ == "__main__":
    sys.exit(main())
