"""Prepares the process of a command in this folder, before JAX is imported."""

import sys

# See `hopgym/_cli/early.py`.
sys.modules["__main__"].__dict__["HOPGYM_COMMAND"] = True

import hopgym as hopgym  # noqa: E402
