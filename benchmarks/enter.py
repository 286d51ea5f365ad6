"""Makes an entry to a suite, as `python -m hopgym.suites.enter`.

python benchmarks/enter.py --help
"""

from __future__ import annotations

import os
import sys

if not __package__:  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == "__main__":
    from benchmarks import start as start

from hopgym._cli.process import run as run_command
from hopgym.suites.enter import main

if __name__ == "__main__":
    run_command(main)
