"""Statistics over the starts of a cell, see columns.py for their meanings."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

QUANTILES = {"q10": 0.1, "median": 0.5, "q90": 0.9}


def wilson_interval(hits: int, starts: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's 95% interval for the rate `hits` / `starts`.

    E. B. Wilson, J. Am. Stat. Assoc. 22, 209 (1927).
    """
    rate = hits / starts
    denominator = 1 + z**2 / starts
    centre = (rate + z**2 / (2 * starts)) / denominator
    spread = z * math.sqrt(rate * (1 - rate) / starts + z**2 / (4 * starts**2))
    low, high = centre - spread / denominator, centre + spread / denominator
    # Exactly 0 and 1 at the ends, without rounding errors of 1e-17.
    return (0.0 if hits == 0 else low, 1.0 if hits == starts else high)


def summarise(
    quenched: np.ndarray,
    polished: np.ndarray,
    evaluations: np.ndarray,
    first_hit: np.ndarray | None,
) -> dict[str, Any]:
    """Compute the scalar columns of a cell.

    **Arguments:** arrays with one entry per start.

    - `quenched`: energy of the quenched best structure.
    - `polished`: energy of the polished last structure.
    - `evaluations`: energy+gradient evaluations of the search.
    - `first_hit`: evaluations until the first hit, or -1; `None` if no minimum is
      known.
    """
    energies = np.asarray(quenched, float)
    finals = np.asarray(polished, float)
    starts = len(energies)
    row: dict[str, Any] = {
        "min": round_number(energies.min()),
        "mean": round_number(energies.mean()),
        "mean_error": standard_error(energies),
        "final_min": round_number(finals.min()),
        "final_mean": round_number(finals.mean()),
        "final_mean_error": standard_error(finals),
        "hits": None,
        "hit_rate": None,
        "hit_rate_low": None,
        "hit_rate_high": None,
        "evaluations_to_hit": None,
        "evaluations": int(np.sum(evaluations, dtype=np.int64)),
    }
    if first_hit is not None:
        is_hit = first_hit > 0
        hits = int(np.sum(is_hit))
        low, high = wilson_interval(hits, starts)
        row |= {
            "hits": hits,
            "hit_rate": round_number(hits / starts),
            "hit_rate_low": round_number(low),
            "hit_rate_high": round_number(high),
        }
        if hits:
            spent = count_until_hit(first_hit, evaluations)
            row["evaluations_to_hit"] = round_number(
                np.sum(spent, dtype=np.int64) / hits, 1
            )
    return row


def count_until_hit(first_hit: np.ndarray, evaluations: np.ndarray | int) -> np.ndarray:
    """Evaluations of each start until its first hit, or of its whole search."""
    return np.where(first_hit > 0, first_hit, evaluations)


def summarise_point(evaluations: int, best: np.ndarray) -> dict[str, Any]:
    """Compute a point of the curve: mean and quantiles of the best energies."""
    energies = np.asarray(best, float)
    point = {"evaluations": evaluations, "mean": round_number(energies.mean())}
    for name, share in QUANTILES.items():
        point[name] = round_number(np.quantile(energies, share))
    return point


def choose_curve_steps(steps: int, chunk: int, points: int = 100) -> set[int]:
    """Choose the steps of the curve: multiples of `chunk`, spaced logarithmically."""
    spaced = np.geomspace(1, -(-steps // chunk), points)
    return {min(chunk * int(k), steps) for k in np.rint(spaced)}


def standard_error(values: np.ndarray) -> float | None:
    """Standard error of the mean; `None` for fewer than two values."""
    if len(values) < 2:
        return None
    return round_number(np.std(values, ddof=1) / math.sqrt(len(values)))


def round_number(value: Any, digits: int = 6) -> float | None:
    """Round a number; `None` if it is not finite, which JSON cannot represent."""
    return round(float(value), digits) if math.isfinite(value) else None
