"""Structure searches from Python: `hopgym.search`."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hopgym._checks import POSITIVE, check_integer, check_number
from hopgym._cli.arguments import MAX_COUNT, MAX_STARTS
from hopgym.structure_search.command_line import MAX_WORKERS, check_extras

if TYPE_CHECKING:  # optional
    from concurrent.futures import Executor

    from ase import Atoms


def search(
    atoms: Any,
    calculator: Any = None,
    *,
    optimizer: str = "bh-symmetric",
    starts: int | None = None,
    evaluations: int | None = None,
    seed: int = 0,
    keep: int = 10,
    workers: int = 1,
    executor: Executor | None = None,
    on: Atoms | None = None,
    cell: Sequence[float] | None = None,
    length: float | None = None,
    energy: float | None = None,
    out: str | Path | None = None,
    progress: Callable[[str], None] | None = print,
) -> list[Any]:
    """Search for the lowest minima of atoms, as `python -m hopgym.search` does.

    ```python
    from ase.calculators.emt import EMT

    minima = hopgym.search("Cu13", EMT, starts=4, evaluations=500)
    print(minima[0].get_potential_energy(), minima[0].info["symmetry"])
    ```

    **Arguments:**

    - `atoms`: a formula such as `"Pt13"`, for random starts; or `ase.Atoms` or a list
      of these, from which searches start in turns.
    - `calculator`: a calculator of ASE; a class or function that makes one; the name of
      one, or `"FILE.py:NAME"`. `None` for a potential of hopgym: `atoms` is then a
      formula or the name of a system.
    - `optimizer`: name of an optimizer of the zoo, or a file of trained weights.
    - `starts`, `evaluations`: number of starts, and of evaluations of energy and forces
      of each; by default 10 and 1,000 with a calculator, otherwise 100 and 50,000.
    - `seed`: random seed.
    - `keep`: number of minima to return.
    - `workers`: number of processes that evaluate structures, each with a calculator of
      its own: for more than one, `calculator` must be a name, or a class or function of
      a module.
    - `executor`: evaluates structures instead: any executor of `concurrent.futures`, as
      those of Dask and MPI are.
    - `on`: a slab above which the atoms of the formula are placed.
    - `cell`: periodic cell of the atoms of the formula: three lengths in angstrom, and
      three angles in degrees if it is not rectangular.
    - `length`, `energy`: units of length and energy on a calculator; by default
      estimated, see `hopgym.structure_search.units`.
    - `out`: folder for a checkpoint, from which the same call resumes, tables and a
      report. By default nothing is kept.
    - `progress`: called with a line of text after each tenth or more often, or `None`.

    **Returns:** distinct minima as `ase.Atoms`, the lowest first, with energies and
    forces. Their `info` has `symmetry`, `hits` (number of starts that visited it),
    `found` (number of evaluations at the first visit) and `above` (energy above the
    lowest).

    **Raises:** `ValueError`, `KeyError` or `TypeError` for invalid arguments;
    `OSError` for a folder that cannot be written;
    `ase.calculators.calculator.CalculationFailed` if the calculator keeps failing. With
    `out`, nothing that was found is lost then, nor at Ctrl-C.
    """
    check_extras()
    from hopgym._cli.provenance import describe_run
    from hopgym._folder_lock import lock_folder
    from hopgym.structure_search.choice import choose_from_python, fit_to_folder
    from hopgym.structure_search.make_search import make_search
    from hopgym.structure_search.output import (
        list_minima,
        make_images,
        refine_minima,
        write_results,
    )
    from hopgym.structure_search.search_folder import SearchFolder
    from hopgym.structure_search.session import SAVE_SECONDS

    if not isinstance(optimizer, str):
        raise TypeError(f"optimizer must be a name or a file, got {optimizer!r}")
    if calculator is None and (workers != 1 or executor is not None):
        raise ValueError("workers and executors are for searches on a calculator")
    seed = check_integer("seed", seed, 0, MAX_COUNT)
    keep = check_integer("keep", keep, 1)
    workers = check_integer("workers", workers, 1, MAX_WORKERS)
    given: dict[str, Any] = {"optimizer": optimizer, "seed": seed}
    if starts is not None:
        given["starts"] = check_integer("starts", starts, 1, MAX_STARTS)
    if evaluations is not None:
        given["steps"] = check_integer("evaluations", evaluations, 1, MAX_COUNT)
    for name, unit in (("length", length), ("energy", energy)):
        if unit is not None:
            check_number(name, unit, POSITIVE)
            given[name] = float(unit)
    with contextlib.ExitStack() as stack:
        if out is None:
            path = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        else:
            path = Path(out)
        choice = choose_from_python(atoms, calculator, given, on=on, cell=cell)
        choice = fit_to_folder(choice, given, path, "`out`")
        path.mkdir(parents=True, exist_ok=True)
        stack.enter_context(lock_folder(path))
        run = make_search(
            choice.plan,
            SearchFolder(path),
            describe_run("hopgym.search(...)", ["ase"]),
            target=choice.target,
            source=choice.source,
            workers=workers,
            make_executor=None if executor is None else lambda: executor,
        )
        stack.callback(run.walks.close)
        saved = 0.0

        def save() -> bool:
            nonlocal saved
            if out is not None and time.perf_counter() - saved > SAVE_SECONDS:
                run.save()
                saved = time.perf_counter()
            return False

        try:
            while not run.finished:
                run.advance(save)
                if progress is not None:
                    progress(run.describe_progress())
        except BaseException:
            run.save()
            if out is not None:
                write_results(run, list_minima(run, keep))
            raise
        run.save()
        refined = refine_minima(run, keep)
        if out is not None:
            write_results(run, refined)
        return make_images(run, refined)
