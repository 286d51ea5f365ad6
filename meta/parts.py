"""Which part of an optimizer a training changes, and the runs that judge it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx

from hopgym.meta import epochs
from hopgym.meta.batched_unroll import BatchedUnroll
from hopgym.meta.plan import TrainingPlan
from hopgym.meta.replayed_unroll import ReplayedUnroll, adapt_search
from hopgym.meta.unroll import HIT_KINDS
from hopgym.optimizers.learned import EXPERIENCE
from hopgym.optimizers.learned.search import RATES, give_rates
from hopgym.optimizers.learned.selection import (
    select_choice,
    select_epochs,
    select_named,
)
from hopgym.optimizers.symmetry.choices.by_rates import ByRates
from hopgym.systems import System, get_system


def select_trained(plan: TrainingPlan, optimizer: Any) -> Any:
    """Filter of the trained arrays of an optimizer, see `equinox.partition`.

    **Raises:** `KeyError` if it has no constant of a name in the plan; `ValueError` if
    it has no constants with names, or no choice of groups, and the plan asks for these.
    """
    if plan.epochs is not None:
        return select_choice(optimizer)
    if plan.only:
        return select_named(optimizer, plan.only)
    return eqx.is_inexact_array if plan.rates is None else select_epochs(optimizer)


def learn_rates(plan: TrainingPlan, optimizer: Any) -> Any:
    """The optimizer with the rates that its training systems have in recorded epochs.

    Others than `bh-symmetric` with the choice `"experience"` know no rates. Without
    recorded epochs it needs them from another training.

    **Raises:** `ValueError` if there are none, or the folder of the plan has no epochs
    of a system.
    """
    if plan.architecture.get("choice") != EXPERIENCE:
        return optimizer
    if plan.epochs is None:
        if not optimizer.departures[RATES].any():
            raise ValueError(
                f"the choice {EXPERIENCE} has to learn rates: record epochs with "
                "python -m hopgym.meta.record, and give their folder as epochs"
            )
        return optimizer
    rates = []
    for _, name in plan.systems:
        groups = adapt_search(optimizer, get_system(name)).subspaces.names
        own = epochs.read(Path(plan.epochs), name, list(groups))
        found = epochs.compute_rates(own, inside=True)
        rates.append(dict(zip(groups, found.tolist(), strict=True)))
    return give_rates(optimizer, rates)


def make_unrolls(
    plan: TrainingPlan, optimizer: Any, systems: Sequence[System]
) -> list[tuple[list[int], BatchedUnroll | ReplayedUnroll]]:
    """The runs of all systems, with the indices of the systems of each.

    **Arguments:**

    - `plan`: the plan of the training.
    - `optimizer`: its arrays that are not trained are those of the runs.
    - `systems`: the systems.

    **Raises:** `ValueError` if a folder of the plan has no epochs of a system.
    """
    trained = select_trained(plan, optimizer)
    if plan.epochs is None:
        return [
            ([k], _make_runs(plan, optimizer, system, trained))
            for k, system in enumerate(systems)
        ]
    by_groups: dict[tuple[str, ...], list[int]] = {}
    for k, system in enumerate(systems):
        names = adapt_search(optimizer, system).subspaces.names
        by_groups.setdefault(names, []).append(k)
    return [
        (
            own,
            ReplayedUnroll(
                [systems[k] for k in own],
                optimizer,
                Path(plan.epochs),
                withheld=plan.withheld,
                known=[name for _, name in plan.systems],
                trained=trained,
            ),
        )
        for own in by_groups.values()
    ]


def _make_runs(
    plan: TrainingPlan, optimizer: Any, system: System, trained: Any
) -> BatchedUnroll:
    return BatchedUnroll(
        system,
        optimizer,
        trained=trained,
        bounded=plan.bounded,
        polish_steps=plan.polish,
        until_hit=plan.loss in HIT_KINDS,
        prepare=_make_draw(plan, optimizer, system),
    )


def _make_draw(
    plan: TrainingPlan, optimizer: Any, system: System
) -> Callable[[Any], Any]:
    if plan.rates is None:
        return lambda own: own
    names = adapt_search(optimizer, system).subspaces.names
    recorded = epochs.read(Path(plan.rates), system.name, list(names))
    choice = ByRates(epochs.compute_rates(recorded))
    return lambda own: dataclasses.replace(own, choice=choice)
