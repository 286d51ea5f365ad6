"""Optimizers by name.

An entry is a factory: a callable that returns an optimizer and may have the arguments
`system` (a [`hopgym.context.SystemInfo`][], for units) and `steps` (the length of the
run, for schedules). To add an optimizer, write one file and add a line to `ZOO`; to add
a trained one, add its file to `weights`.
"""

from __future__ import annotations

import functools
import importlib.resources
import inspect
import json
from collections.abc import Callable
from typing import Any

from hopgym._checks import check_integer
from hopgym._suggest import describe_unknown_name
from hopgym.context import SystemInfo
from hopgym.optimizers.annealing import Annealing
from hopgym.optimizers.base import AbstractOptimizer, adapt
from hopgym.optimizers.basin_hopping import bh_lbfgs, bh_paper, bh_two_phase
from hopgym.optimizers.evolution import cma_es, differential_evolution, open_es
from hopgym.optimizers.fire import fire
from hopgym.optimizers.fire_ase import FireAse
from hopgym.optimizers.gradient_descent import GradientDescent
from hopgym.optimizers.lbfgs import LBFGS
from hopgym.optimizers.learned.weights import SUFFIX, list_trained, load, make_factory
from hopgym.optimizers.optax_wrapper import adam, rmsprop
from hopgym.optimizers.random_restart import random_restart
from hopgym.optimizers.symmetric_basin_hopping import bh_symmetric

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
    "bh-symmetric": bh_symmetric,
    "cma-es": cma_es,
    "open-es": open_es,
    "de": differential_evolution,
    **{name: make_factory(name) for name in list_trained()},
}


@functools.cache
def _read_tuned() -> dict[str, dict[str, dict[str, float]]]:
    table = importlib.resources.files("hopgym") / "optimizers" / "tuned.json"
    return json.loads(table.read_text())["settings"]


def find_tuned_settings(name: str, system_name: str) -> dict[str, float]:
    """Find the hyper-parameters of an optimizer tuned for a system or its family.

    `tuned.json` describes how they were tuned. The family of a system is the part of
    its name before the first hyphen. Without tuned values the result is empty.
    """
    settings = _read_tuned().get(name, {})
    family = system_name.split("-")[0]
    return settings.get(system_name, settings.get(family, {}))


def build(
    factory: Callable[..., Any], system: SystemInfo, steps: int, **settings: Any
) -> Any:
    """Call a factory, with `system` and `steps` if it takes them.

    **Arguments:**

    - `factory`: returns an optimizer.
    - `system`, `steps`: see [`hopgym.optimizers.make_optimizer`][].
    - `settings`: further arguments of the factory.
    """
    offered = {"system": system, "steps": steps}
    parameters = inspect.signature(factory).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        offered = {k: v for k, v in offered.items() if k in parameters}
    return factory(**offered, **settings)


def make_optimizer(name: str, *, system: SystemInfo, steps: int) -> AbstractOptimizer:
    """Make an optimizer of the zoo, with hyper-parameters tuned for the system.

    **Arguments:**

    - `name`: a name in `ZOO`, or a file of trained weights (`.eqx`).
    - `system`: a [`hopgym.System`][] or another [`hopgym.context.SystemInfo`][].
    - `steps`: length of the run, for schedules.

    **Raises:** `KeyError` for an unknown name, with the most similar known ones;
    `ValueError` for anything but a system, `steps` below 1, or a file that holds no
    optimizer; `OSError` for one that cannot be read.
    """
    if not isinstance(system, SystemInfo):
        raise ValueError(
            'make_optimizer needs a system, such as hopgym.get_system("LJ-13"), got '
            f"{system!r}"
        )
    steps = check_integer("steps", steps, 1)
    if name.endswith(SUFFIX):
        return adapt(load(name), system)
    if name not in ZOO:
        raise KeyError(describe_unknown_name("optimizer", name, list(ZOO)))
    settings = find_tuned_settings(name, system.name)
    return adapt(build(ZOO[name], system, steps, **settings), system)
