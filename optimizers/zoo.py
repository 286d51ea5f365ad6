"""Optimizers by name.

An entry is a factory: a callable that returns an optimizer and may ask for `system=`
(a `hopgym.System`, for units) and `steps=` (the length of the run, for schedules).
Adding an optimizer is one file and one line in `ZOO`; a trained one is a file in
`weights`.
"""

from __future__ import annotations

import functools
import importlib.resources
import inspect
import json
from collections.abc import Callable
from typing import Any

from hopgym._suggest import unknown_name
from hopgym.optimizers.annealing import Annealing
from hopgym.optimizers.base import AbstractOptimizer
from hopgym.optimizers.basin_hopping import bh_lbfgs, bh_paper, bh_two_phase
from hopgym.optimizers.evolution import cma_es, differential_evolution, open_es
from hopgym.optimizers.fire import fire
from hopgym.optimizers.fire_ase import FireAse
from hopgym.optimizers.gradient_descent import GradientDescent
from hopgym.optimizers.lbfgs import LBFGS
from hopgym.optimizers.learned.weights import factory, trained
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
    "cma-es": cma_es,
    "open-es": open_es,
    "de": differential_evolution,
    **{name: factory(name) for name in trained()},
}


@functools.cache
def _tuned() -> dict[str, dict[str, dict[str, float]]]:
    table = importlib.resources.files("hopgym") / "optimizers" / "tuned.json"
    return json.loads(table.read_text())["settings"]


def tuned_settings(name: str, system_name: str) -> dict[str, float]:
    """Hyper-parameters of an optimizer that were tuned for a system or its family.

    `tuned.json` says how they were found. The family of a system is what precedes the
    hyphen in its name. Empty where nothing was tuned: the factory's defaults hold.
    """
    settings = _tuned().get(name, {})
    family = system_name.split("-")[0]
    return settings.get(system_name, settings.get(family, {}))


def build(factory: Callable[..., Any], system: Any, steps: int, **settings: Any) -> Any:
    """`factory(**settings)`, with `system=` and `steps=` where it takes them."""
    offered = {"system": system, "steps": steps}
    parameters = inspect.signature(factory).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        offered = {k: v for k, v in offered.items() if k in parameters}
    return factory(**offered, **settings)


def make_optimizer(name: str, *, system: Any, steps: int) -> AbstractOptimizer:
    """The optimizer of that name, tuned for a system and made for a number of steps.

    **Raises:** `KeyError` for an unknown name, with the nearest known ones.
    """
    if name not in ZOO:
        raise KeyError(unknown_name("optimizer", name, list(ZOO)))
    return build(ZOO[name], system, steps, **tuned_settings(name, system.name))
