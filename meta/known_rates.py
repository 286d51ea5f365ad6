"""Rates of the groups of a search on other systems, counted in recorded epochs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hopgym.meta import epochs
from hopgym.meta.epochs import Epochs
from hopgym.meta.plan import TrainingPlan
from hopgym.meta.replayed_unroll import adapt_search
from hopgym.optimizers import learned
from hopgym.optimizers.learned.search import RATES, give_rates
from hopgym.systems import System


def learn_rates(
    search: Any,
    systems: Sequence[System],
    folder: str | Path | None,
    resample: int | None = None,
) -> Any:
    """A search with the rates that its groups have on systems, in recorded epochs.

    **Arguments:**

    - `search`: a learned `bh-symmetric` whose choice knows rates of so many systems.
    - `systems`: the systems.
    - `folder`: folder of the recorded epochs; `None` for a search that has its rates.
    - `resample`: seed with which epochs are drawn, with replacement, as many of each
      group as there are: another record, so to speak.

    **Raises:** `ValueError` if the folder has no epochs of a system, or there is no
    folder and the search has no rates.
    """
    if folder is None:
        if not search.departures[RATES].any():
            raise ValueError(
                "the choice has to know rates of other systems: give recorded epochs, "
                "or start from a file of python -m hopgym.meta.rates"
            )
        return search
    generator = None if resample is None else np.random.default_rng(resample)
    rates = []
    for system in systems:
        groups = adapt_search(search, system).subspaces.names
        own = epochs.read(Path(folder), system.name, list(groups))
        if generator is not None:
            own = _resample(own, generator)
        counted = epochs.compute_rates(own, inside=True)
        rates.append(dict(zip(groups, counted.tolist(), strict=True)))
    return give_rates(search, rates)


def _resample(own: Epochs, generator: np.random.Generator) -> Epochs:
    """Draw epochs of each group, again until one of all meets the minimum."""
    first, last = own.first[:-1], own.first[1:]
    while True:
        drawn = generator.integers(
            np.repeat(first, last - first), np.repeat(last, last - first)
        )
        if np.any(np.asarray(own.hit)[drawn] > 0):
            break
    columns = {
        field.name: np.asarray(getattr(own, field.name))[drawn]
        for field in dataclasses.fields(Epochs)
        if field.name != "first"
    }
    return Epochs(first=own.first, **columns)


def list_known(plan: TrainingPlan) -> list[str]:
    """Names of the systems whose rates the search of a plan knows, in their order."""
    if plan.epochs is not None:
        return [name for _, name in plan.systems]
    assert plan.start_from is not None
    return learned.read_header(plan.start_from).get("known_systems", [])
