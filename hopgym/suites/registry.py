"""Suites by version. To add one, write its file and add it here."""

from __future__ import annotations

from hopgym._suggest import describe_unknown_name
from hopgym.suites.suite import Suite
from hopgym.suites.v1 import V1

SUITES: dict[str, Suite] = {suite.version: suite for suite in (V1,)}


def get_suite(version: str) -> Suite:
    """Get a suite by its version.

    **Raises:** `ValueError` for an unknown one.
    """
    if version not in SUITES:
        raise ValueError(describe_unknown_name("suite", version, list(SUITES)))
    return SUITES[version]
