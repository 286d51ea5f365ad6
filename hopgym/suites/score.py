"""Scores of verified entries: their definition, intervals, and performance profiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hopgym.evaluation.summarise import count_until_hit, wilson_interval
from hopgym.suites.registry import get_suite
from hopgym.suites.suite import Suite
from hopgym.suites.verified import Found, Verified

SAMPLES = 1000  # of the bootstrap
SEED = 0
DEFINITION = (
    "The score is the mean hit rate over all test systems and budgets, in percent. "
    "Since the budgets are a geometric series, it approximates the area under the "
    "curve of solved starts against the logarithm of evaluations. Brackets are 95% "
    "intervals, from a bootstrap over the starts of each system; there is none where "
    "no start or every start hits."
)


@dataclass(frozen=True)
class Score:
    """The score of an entry.

    **Attributes:**

    - `score`, `low`, `high`: mean hit rate in percent, and its 95% interval.
    - `rates`: mean hit rate in percent at each budget.
    - `solved`: number of systems with a hit.
    - `gap`: mean energy per atom of the starts above the lowest known at the largest
      budget, in the energy unit of the system; the median over systems, since a few
      have far larger gaps. Infinite where a start has no sound structure.
    """

    score: float
    low: float
    high: float
    rates: tuple[float, ...]
    solved: int
    gap: float


def find_hits(found: Found, suite: Suite) -> np.ndarray:
    """Which starts have hit at each budget, `(starts, budgets)`."""
    steps = found.steps[:, None]
    return (steps > 0) & (steps <= np.array(suite.budgets))


def compute_score(verified: Verified) -> Score:
    """Compute the score of an entry, of the systems that it has."""
    suite = get_suite(verified.header.suite)
    hits = np.stack([find_hits(one, suite) for one in verified.systems.values()])
    rng = np.random.default_rng(SEED)
    drawn = rng.integers(hits.shape[1], size=(SAMPLES, *hits.shape[:2]))
    by_start = hits.mean(axis=2)
    systems = np.arange(len(hits))[:, None]
    samples = 100 * by_start[systems, drawn].mean(axis=(1, 2))
    low, high = np.quantile(samples, (0.025, 0.975))
    gaps = []
    for name, found in verified.systems.items():
        system = suite.get_system(name)
        above = found.energies[:, -1] - float(system.reference)
        gaps.append(np.mean(above) / (system.atoms * float(system.energy_unit)))
    return Score(
        score=100 * float(hits.mean()),
        low=float(low),
        high=float(high),
        rates=tuple(100 * hits.mean(axis=(0, 1))),
        solved=int(np.sum(hits.any(axis=(1, 2)))),
        gap=float(np.median(gaps)),
    )


def compute_evaluations_per_hit(found: Found, suite: Suite) -> float:
    """Evaluations of all starts until their first hit or the end, per hit.

    The maximum-likelihood estimate of the mean; infinite without hits.
    """
    spent = count_until_hit(found.evaluations, suite.steps + 1)
    return float(np.sum(spent)) / found.hits if found.hits else np.inf


def describe_hits(found: Found, suite: Suite) -> str:
    """Hits in percent with Wilson's 95% interval, and evaluations per hit."""
    hits, starts = found.hits, len(found.steps)
    low, high = (100 * end for end in wilson_interval(hits, starts))
    text = f"{100 * hits / starts:.0f} [{low:.0f}, {high:.0f}]"
    if not hits:
        return text
    return f"{text} {compute_evaluations_per_hit(found, suite):,.0f}"


def compute_ratios(entries: Sequence[Verified]) -> np.ndarray:
    """Evaluations per hit divided by those of the best entry, of each test system.

    **Returns:** `(entries, systems)`; infinite where an entry has no hit, also where
    no entry has.
    """
    if not entries:
        return np.zeros((0, 0))
    suite = get_suite(entries[0].header.suite)
    costs = np.array(
        [
            [compute_evaluations_per_hit(one.systems[s], suite) for s in suite.test]
            for one in entries
        ]
    )
    best = costs.min(axis=0)
    return costs / np.where(np.isfinite(best), best, 1)
