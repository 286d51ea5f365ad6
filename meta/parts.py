"""Which part of an optimizer a training changes, and the runs that judge it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hopgym.meta import epochs
from hopgym.meta.batched_unroll import BatchedUnroll
from hopgym.meta.plan import TrainingPlan
from hopgym.meta.replayed_unroll import (
    ReplayedUnroll,
    adapt_search,
    sort_by_groups,
)
from hopgym.meta.unroll import HIT_KINDS
from hopgym.optimizers.learned import EXPERIENCE
from hopgym.optimizers.learned.selection import (
    select_all,
    select_choice,
    select_epochs,
    select_named,
)
from hopgym.optimizers.symmetry.choices.by_rates import ByRates
from hopgym.systems import System


def select_trained(plan: TrainingPlan, optimizer: Any) -> Any:
    """Filter of the trained arrays of an optimizer, see `equinox.partition`.

    **Raises:** `KeyError` if it has no constant of a name in the plan; `ValueError` if
    it has no constants with names, or no choice of groups, and the plan asks for these.
    """
    if plan.epochs is not None:
        if plan.architecture.get("choice") == EXPERIENCE:
            raise ValueError(
                f"the choice {EXPERIENCE} has no weights to be trained: count rates "
                "with python -m hopgym.meta.rates"
            )
        return select_choice(optimizer)
    if plan.only:
        return select_named(optimizer, plan.only)
    return select_all(optimizer) if plan.rates is None else select_epochs(optimizer)


def make_unrolls(
    plan: TrainingPlan,
    optimizer: Any,
    systems: Sequence[System],
    known: Sequence[str] = (),
) -> list[tuple[list[int], BatchedUnroll | ReplayedUnroll]]:
    """The runs of all systems, with the indices of the systems of each.

    **Arguments:**

    - `plan`: the plan of the training.
    - `optimizer`: its arrays that are not trained are those of the runs.
    - `systems`: the systems.
    - `known`: names of the systems whose rates the search knows.

    **Raises:** `ValueError` if a folder of the plan has no epochs of a system.
    """
    trained = select_trained(plan, optimizer)
    if plan.epochs is None:
        return [
            ([k], _make_runs(plan, optimizer, system, trained))
            for k, system in enumerate(systems)
        ]
    return [
        (
            own,
            ReplayedUnroll(
                [systems[k] for k in own],
                optimizer,
                Path(plan.epochs),
                withheld=plan.withheld,
                known=known,
                trained=trained,
            ),
        )
        for own in sort_by_groups(optimizer, systems)
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
