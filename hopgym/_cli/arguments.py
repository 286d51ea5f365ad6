"""Parsing of command-line arguments, with one-line errors."""

from __future__ import annotations

import argparse
import decimal
import math
import os
from typing import NoReturn

MAX_COUNT = 2**31 - 2  # counters are 32-bit integers
MAX_STARTS = 100_000  # all are held in memory at once


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")

    def fail(self, error: Exception) -> NoReturn:
        """Exit with a line about an error that invalid arguments caused."""
        self.error(describe_error(error))


def describe_error(error: Exception) -> str:
    """Describe an error in one line, without its class or number."""
    if isinstance(error, OSError) and error.strerror:
        where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        return f"{where}{error.strerror}"
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    return str(text).strip().partition("\n")[0]


def parse_integer(text: str, least: int, most: int) -> int:
    """Parse an integer within limits, such as 50000, 50,000, 50_000 or 5e4.

    **Raises:** `argparse.ArgumentTypeError` for anything else.
    """
    try:
        value = decimal.Decimal(text.replace("_", "").replace(",", ""))
        # Compared before it is an int, which has as many digits as 1e999999 says.
        inside = least <= value <= most
        if inside and value != int(value):
            raise ValueError
    except (ValueError, decimal.InvalidOperation):
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer") from None
    if not inside:
        raise argparse.ArgumentTypeError(
            f"must be between {least} and {most}, got {text}"
        )
    return int(value)


def parse_count(text: str) -> int:
    """Parse a number of starts, steps etc.: an integer from 1 to `MAX_COUNT`.

    **Raises:** as `parse_integer`.
    """
    return parse_integer(text, 1, MAX_COUNT)


def parse_starts(text: str) -> int:
    """Parse a number of structures computed at once: from 1 to `MAX_STARTS`.

    **Raises:** as `parse_integer`.
    """
    return parse_integer(text, 1, MAX_STARTS)


def parse_seed(text: str) -> int:
    """Parse a seed: an integer from 0 to `MAX_COUNT`.

    **Raises:** as `parse_integer`.
    """
    return parse_integer(text, 0, MAX_COUNT)


def parse_positive(text: str) -> float:
    """Parse a positive, finite number.

    **Raises:** `argparse.ArgumentTypeError` for anything else.
    """
    value = _parse_number(text)
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"must be positive, got {text}")
    return value


def parse_not_negative(text: str) -> float:
    """Parse a finite number that is not negative.

    **Raises:** `argparse.ArgumentTypeError` for anything else.
    """
    value = _parse_number(text)
    if not (value >= 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"must not be negative, got {text}")
    return value


def _parse_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def parse_names(text: str) -> list[str]:
    """Parse names separated by commas: in their order, without duplicates."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def format_duration(seconds: float) -> str:
    """Format seconds as 1:05 or 2:03:04."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
