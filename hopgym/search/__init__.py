"""Low minima from the command line: python -m hopgym.search --help."""
