"""Search for the lowest minima of a system: `python -m hopgym.search --help`."""
