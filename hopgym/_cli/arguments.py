"""Parsing of command-line arguments, with one-line errors."""

from __future__ import annotations

import argparse
import math
from typing import NoReturn

MAX_COUNT = 2**31 - 2  # counters are 32-bit integers


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def parse_integer(text: str, least: int, most: int) -> int:
    """Parse an integer within limits, such as 50000, 50,000 or 50_000.

    **Raises:** `argparse.ArgumentTypeError` for anything else.
    """
    try:
        value = int(text.replace("_", "").replace(",", ""))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an integer, written in digits such as 1000000"
        ) from None
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(
            f"must be between {least} and {most}, got {value}"
        )
    return value


def parse_count(text: str) -> int:
    """Parse a number of starts, steps etc.: an integer from 1 to `MAX_COUNT`.

    **Raises:** as `parse_integer`.
    """
    return parse_integer(text, 1, MAX_COUNT)


def parse_seed(text: str) -> int:
    """Parse a seed: an integer from 0 to `MAX_COUNT`.

    **Raises:** as `parse_integer`.
    """
    return parse_integer(text, 0, MAX_COUNT)


def parse_seconds(text: str) -> float:
    """Parse a positive, finite time in seconds.

    **Raises:** `argparse.ArgumentTypeError` for anything else.
    """
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"must be positive, got {text}")
    return value


def parse_names(text: str) -> list[str]:
    """Parse names separated by commas: in their order, without duplicates."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def format_duration(seconds: float) -> str:
    """Format seconds as 1:05 or 2:03:04."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
