"""Optimizers by name.

An entry is a factory: a callable that returns an optimizer and may ask for `system=`
(a `hopgym.System`, for units) and `steps=` (the length of the run, for schedules).
Adding an optimizer is one file and one line in `ZOO`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from hopgym.names import unknown
from hopgym.optimizers.annealing import Annealing
from hopgym.optimizers.base import AbstractOptimizer
from hopgym.optimizers.basin_hopping import bh_lbfgs, bh_paper, bh_two_phase
from hopgym.optimizers.fire import fire
from hopgym.optimizers.fire_ase import FireAse
from hopgym.optimizers.gradient_descent import GradientDescent
from hopgym.optimizers.lbfgs import LBFGS
from hopgym.optimizers.optax_wrapper import adam, rmsprop
from hopgym.optimizers.random_restart import random_restart

ZOO: dict[str, Callable[..., AbstractOptimizer]] = {
    "gd": GradientDescent,
    "adam": adam,
    "rmsprop": rmsprop,
    "fire": fire,
    "fire-ase": FireAse,
    "lbfgs": LBFGS,
    "random-restart": random_restart,
    "annealing": Annealing,
    "bh-paper": bh_paper,
    "bh-lbfgs": bh_lbfgs,
    "bh-two-phase": bh_two_phase,
}


def build(factory: Callable[..., Any], system: Any, steps: int) -> Any:
    """`factory(system=system, steps=steps)`, with those of the two that it takes."""
    offered = {"system": system, "steps": steps}
    parameters = inspect.signature(factory).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return factory(**offered)
    return factory(**{k: v for k, v in offered.items() if k in parameters})


def make_optimizer(name: str, *, system: Any, steps: int) -> AbstractOptimizer:
    """The optimizer of that name, made for a system and a number of steps.

    **Raises:** `KeyError` for an unknown name, with the nearest known ones.
    """
    if name not in ZOO:
        raise KeyError(unknown("optimizer", name, list(ZOO)))
    return build(ZOO[name], system, steps)
