"""What a command searches: its plan, and for calculators its atoms and calculator."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase import Atoms

from hopgym.calculators import CalculatorSource, find_calculator
from hopgym.structure_search.calculator_options import make_calculator_plan, make_target
from hopgym.structure_search.command_line import (
    check_option_groups,
    make_plan,
    update_plan,
)
from hopgym.structure_search.formula import parse_formula
from hopgym.structure_search.plan import Plan, describe_differences
from hopgym.structure_search.search_folder import SearchFolder
from hopgym.structure_search.target import Target, make_cluster, put_on, start_from


@dataclass(frozen=True)
class Choice:
    """What is searched.

    **Attributes:**

    - `plan`: the plan.
    - `target`, `source`: atoms and calculator; `None` for a potential of hopgym.
    """

    plan: Plan
    target: Target | None = None
    source: CalculatorSource | None = None

    @property
    def folder_name(self) -> str:
        """Name of the folder of the search, unless another one is chosen."""
        if self.source is None:
            return self.plan.system
        return f"{self.plan.system}-{self.source.name.replace(':', '-')}"


def choose_new(given: dict[str, Any]) -> Choice:
    """Choose what the options of the command line describe.

    **Raises:** `ValueError`, `KeyError` or `OSError` for invalid options.
    """
    check_option_groups(given)
    if "calculator" not in given:
        return Choice(make_plan(given))
    source = find_calculator(given["calculator"])
    target = make_target(given)
    return Choice(make_calculator_plan(given, target, source), target, source)


def choose_stored(given: dict[str, Any], path: Path) -> Choice:
    """Choose the search in the folder, with the options of the command line.

    **Raises:** as `choose_new`, and `ValueError` for a folder that holds none.
    """
    folder = SearchFolder(path)
    stored = folder.read_plan()
    if stored.calculator or "calculator" in given:
        return _update(stored, folder.read_setup(), given)
    check_option_groups(given)
    return Choice(update_plan(stored, given))


def fit_to_folder(
    choice: Choice, given: dict[str, Any], path: Path, what: str = "--out"
) -> Choice:
    """Fit a choice to the folder, which is free or holds the same search.

    **Arguments:**

    - `choice`: the search, which may prolong that in the folder.
    - `given`: the options that were given.
    - `path`: the folder.
    - `what`: the option that names it, for messages.

    **Raises:** `ValueError` if the folder holds another search, or anything else.
    """
    folder = SearchFolder(path)
    if not folder.has_search:
        folder.check_is_free()
        return choice
    stored, plan = folder.read_plan(), choice.plan
    if "chunk" not in given:  # its default depends on the number of steps
        plan = dataclasses.replace(plan, chunk=stored.chunk)
    growing = given.keys() & {"steps", "starts"}
    differences = describe_differences(stored, plan, growing)
    if differences:
        raise ValueError(
            f"{path} holds another search ({differences}): choose another {what}"
        )
    return dataclasses.replace(choice, plan=plan)


def choose_from_python(
    atoms: Any,
    calculator: Any,
    given: dict[str, Any],
    *,
    on: Atoms | None,
    cell: Sequence[float] | None,
) -> Choice:
    """Choose the plan of `hopgym.search`.

    **Arguments:**

    - `given`: other options, as those of the command line.
    - `atoms`, `calculator`, `on`, `cell`: see `hopgym.search`.

    **Raises:** `ValueError`, `KeyError` or `TypeError` for invalid arguments.
    """
    if on is not None and not isinstance(on, Atoms):
        raise TypeError(f"`on` must be ase.Atoms, got {on!r}")
    if calculator is None:
        if not isinstance(atoms, str) or on is not None or cell is not None:
            raise ValueError(
                "without a calculator, give a formula or the name of a system, and "
                "neither `on` nor `cell`: hopgym.search(atoms, calculator)"
            )
        return Choice(make_plan({**given, "target": atoms}))
    source = find_calculator(calculator)
    target = _make_target(atoms, on, cell)
    return Choice(make_calculator_plan(given, target, source), target, source)


def _make_target(atoms: Any, on: Atoms | None, cell: Sequence[float] | None) -> Target:
    if isinstance(atoms, str):
        counts = parse_formula(atoms)
        if on is not None and cell is not None:
            raise ValueError("give `on` or `cell`, not both")
        return make_cluster(counts, cell) if on is None else put_on(on, counts, "`on`")
    frames = [atoms] if isinstance(atoms, Atoms) else atoms
    if not isinstance(frames, Sequence) or not all(
        isinstance(frame, Atoms) for frame in frames
    ):
        raise TypeError(
            f"atoms must be a formula, ase.Atoms or a list of these, got {atoms!r}"
        )
    if on is not None or cell is not None:
        raise ValueError("`on` and `cell` are for formulas: set those of the atoms")
    return start_from(frames, "`atoms`")


def _update(stored: Plan, setup: dict[str, Any], given: dict[str, Any]) -> Choice:
    """A stored search on a calculator, with the options of the command line."""
    target = Target.from_json(setup["target"], "setup")
    spec = given.get("calculator", setup["calculator"])
    if not spec:
        raise ValueError(
            "the search was started from Python: repeat the call of hopgym.search, or "
            "give its --calculator"
        )
    source = find_calculator(spec)
    names = ("optimizer", "starts", "steps", "seed", "chunk", "length", "energy")
    kept = {name: getattr(stored, name) for name in names}
    if given.keys() & {"target", "start", "on", "cell", "volume"}:
        target = make_target(given)
    plan = make_calculator_plan({**kept, **given}, target, source)
    return Choice(plan, target, source)
