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
from hopgym.structure_search.command_line import make_plan, update_plan
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


def name_search(given: dict[str, Any]) -> str:
    """The name of the folder of a new search.

    **Raises:** as `choose`.
    """
    if "calculator" not in given:
        return make_plan(given).system
    source = find_calculator(given["calculator"])
    return f"{make_target(given).name}-{source.name.replace(':', '-')}"


def choose(given: dict[str, Any], path: Path, resume: bool) -> Choice:
    """Choose the plan of a new search, or of the one in the folder.

    **Arguments:**

    - `given`: the options given on the command line.
    - `path`: the folder.
    - `resume`: whether the search in the folder is to be resumed.

    **Raises:** `ValueError`, `KeyError` or `OSError` for invalid options, a folder that
    holds another search, or one that holds none to resume.
    """
    folder = SearchFolder(path)
    if not folder.has_search:
        if resume:
            raise ValueError(f"{path} holds no search to resume")
        folder.check_is_free()
        return _choose_new(given)
    stored = folder.read_plan()
    if not resume:
        choice = _choose_new(given)
    elif not stored.calculator and "calculator" not in given:
        choice = Choice(update_plan(stored, given))
    else:
        choice = _update(stored, folder.read_setup(), given)
    return _follow(stored, choice, given, path, "--out")


def choose_from_python(
    atoms: Any,
    calculator: Any,
    given: dict[str, Any],
    path: Path,
    *,
    on: Atoms | None,
    cell: Sequence[float] | None,
) -> Choice:
    """Choose the plan of `hopgym.search`.

    **Arguments:**

    - `given`: other options, as those of the command line.
    - `path`: folder, which may hold the same search.
    - `atoms`, `calculator`, `on`, `cell`: see `hopgym.search`.

    **Raises:** `ValueError`, `KeyError` or `TypeError` for invalid arguments, or a
    folder that holds another search.
    """
    if on is not None and not isinstance(on, Atoms):
        raise TypeError(f"`on` must be ase.Atoms, got {on!r}")
    if calculator is None:
        if not isinstance(atoms, str) or on is not None or cell is not None:
            raise ValueError(
                "without a calculator, give a formula or the name of a system, and "
                "neither `on` nor `cell`: hopgym.search(atoms, calculator)"
            )
        choice = Choice(make_plan({**given, "target": atoms}))
    else:
        source = find_calculator(calculator)
        target = _make_target(atoms, on, cell)
        choice = Choice(make_calculator_plan(given, target, source), target, source)
    folder = SearchFolder(path)
    if folder.has_search:
        return _follow(folder.read_plan(), choice, given, path, "`out`")
    folder.check_is_free()
    return choice


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


def _follow(
    stored: Plan, choice: Choice, given: dict[str, Any], path: Path, what: str
) -> Choice:
    """The choice, which is that of the search in the folder or prolongs it.

    **Raises:** `ValueError` if it is another one.
    """
    plan = choice.plan
    if "chunk" not in given:  # its default depends on the number of steps
        plan = dataclasses.replace(plan, chunk=stored.chunk)
    growing = given.keys() & {"steps", "starts"}
    differences = describe_differences(stored, plan, growing)
    if differences:
        raise ValueError(
            f"{path} holds another search ({differences}): choose another {what}"
        )
    return dataclasses.replace(choice, plan=plan)


def _choose_new(given: dict[str, Any]) -> Choice:
    if "calculator" not in given:
        return Choice(make_plan(given))
    source = find_calculator(given["calculator"])
    target = make_target(given)
    return Choice(make_calculator_plan(given, target, source), target, source)


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
