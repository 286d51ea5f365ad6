"""Makes a search from its plan: its walks, and for calculators their units."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from hopgym._cli.progress import say
from hopgym.calculators import CalculatorSource
from hopgym.optimizers import LBFGS
from hopgym.structure_search.calculator_walks import CalculatorWalks
from hopgym.structure_search.evaluators import (
    AbstractEvaluator,
    ExecutorEvaluator,
    SerialEvaluator,
    Task,
    make_process_pool,
)
from hopgym.structure_search.plan import Plan
from hopgym.structure_search.search import Search
from hopgym.structure_search.search_folder import SearchFolder
from hopgym.structure_search.target import Target
from hopgym.structure_search.units import Units, estimate_units


def make_search(
    plan: Plan,
    folder: SearchFolder,
    about: dict[str, Any],
    *,
    target: Target | None = None,
    source: CalculatorSource | None = None,
    workers: int = 1,
    make_executor: Callable[[], Executor] | None = None,
) -> Search:
    """Make a search; one in the folder is restored.

    **Arguments:**

    - `plan`, `folder`, `about`: see [`hopgym.structure_search.search.Search`][].
    - `target`: atoms of a search on a calculator; by default those in the folder.
    - `source`: makes its calculators; `None` for a potential of hopgym.
    - `workers`: number of processes that evaluate structures.
    - `make_executor`: makes an executor that does so instead.

    **Raises:** as `Search`, and `ValueError` for a calculator that cannot be made or
    whose units cannot be estimated.
    """
    if source is None:
        return _prepare(Search(plan, folder, about))
    setup: dict[str, Any] | None = None
    if folder.has_search:
        setup = folder.read_setup()
        target = Target.from_json(setup["target"], f"{folder.path}: setup")
    assert target is not None
    template = target.template
    task = Task(source, template)
    if source.is_shared and (workers > 1 or make_executor is not None):
        raise ValueError(
            "workers need calculators of their own: give a class or function that "
            "makes one, or a name, instead of a calculator"
        )
    evaluator: AbstractEvaluator
    if make_executor is not None:
        evaluator = ExecutorEvaluator(task, make_executor, remake=False)
    elif workers > 1:
        _check_can_be_sent(task)
        evaluator = ExecutorEvaluator(task, lambda: make_process_pool(workers))
    else:
        evaluator = SerialEvaluator(task)
    try:
        if setup is None:
            units = _choose_units(plan, target, evaluator)
        else:
            units = Units(setup["length"], setup["energy"], setup["evaluations"])
        system = target.describe(units.length, units.energy)
        walks = CalculatorWalks(
            system,
            template,
            plan.make_optimizer(system),
            target.make_starts(system, plan.seed, plan.starts),
            plan.seed,
            evaluator,
        )
        entries = {
            "target": target.to_json(),
            "calculator": source.spec,
            "length": units.length,
            "energy": units.energy,
            "evaluations": units.evaluations,
        }
        return _prepare(Search(plan, folder, about, walks, entries))
    except BaseException:
        evaluator.close()
        raise


def _check_can_be_sent(task: Task) -> None:
    """Check that a task can be sent to other processes."""
    try:
        pickle.dumps(task)
    except Exception as error:
        raise ValueError(
            f"{task.source.name} cannot be sent to other processes: give a class or "
            "function of a module, or FILE.py:NAME"
        ) from error


def _prepare(search: Search) -> Search:
    if search.folder.has_search:
        search.restore()
    return search


def _choose_units(plan: Plan, target: Target, evaluator: AbstractEvaluator) -> Units:
    """Units of the plan; those that it does not set are estimated."""
    if plan.length > 0 and plan.energy > 0:
        return Units(plan.length, plan.energy)
    say("estimating the units of the calculator")
    system = target.describe(plan.length or None, plan.energy or None)
    start = target.make_starts(system, plan.seed, 1)
    walks = CalculatorWalks(
        system, target.template, LBFGS(), start, plan.seed, evaluator
    )
    found = estimate_units(walks, target, plan.seed)
    return Units(
        plan.length or found.length, plan.energy or found.energy, found.evaluations
    )
