"""Cells of the benchmark for tests, without a run."""

from typing import Any

import numpy as np


def make_cell(optimizer: str, system: str, first_hit: Any, **others: Any) -> dict:
    """A cell of 1,000 steps per start."""
    return {
        "optimizer": optimizer,
        "system": system,
        "starts": len(first_hit),
        "steps": 1000,
        "hits": int(np.sum(np.asarray(first_hit) > 0)),
        "first_hit": list(first_hit),
        **others,
    }
