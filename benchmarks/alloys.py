"""Lowest energies of clusters of two metals with 38 atoms: a search for references.

python benchmarks/alloys.py --out benchmarks/results/alloys

Every composition is searched from random starts. Then structures are handed on to all
other compositions and pairs of metals: atoms change places until no exchange of two
lowers the energy at fixed positions, and basin hopping goes on from the lowest minima.
In later rounds only compositions that got lower hand structures on; basin hopping goes
on in all. That ends when two rounds lowered no energy by more than 1 meV. The lowest
structures, after a quench in double precision, are written to minima.csv, with how they
were found, and to minima.xyz. Minima less than 1 meV apart count as one.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == "__main__":
    from benchmarks import start as start

import csv
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import ase.io
import numpy as np

from benchmarks.alloy_search.composition import (
    SAME,
    Composition,
    Minimum,
    get_settings,
)
from benchmarks.options import add_budget_options
from benchmarks.paper.figure7 import ATOMS
from benchmarks.runner import forget_programs
from hopgym._atomic_write import atomic_save, atomic_write
from hopgym._cli.arguments import Parser, parse_names
from hopgym._cli.devices import use_all_cores
from hopgym._cli.lookup import check_names
from hopgym._cli.process import run as run_command
from hopgym._cli.progress import say
from hopgym._cli.provenance import describe_run, format_command
from hopgym._folder_lock import lock_folder
from hopgym.systems.gupta import PAIRS

TABLE, STRUCTURES = "minima.csv", "minima.xyz"
SEARCHES = ("bh-two-phase", "bh-symmetric", "bh-learned")
PATIENCE = 2  # rounds that find nothing, after which the search ends
KEY = "search.json"  # what the files of a folder depend on


def find_minima(
    compositions: Sequence[Composition],
    starts: int,
    steps: int,
    seed: int,
    folder: Path,
) -> None:
    """Search all compositions, and hand structures on until rounds find nothing.

    What is known of a composition after its searches from random starts, and after its
    last round, is kept in two files of the folder, from which the same call goes on.

    **Raises:** `ValueError` if the folder is that of another search.
    """
    names = [own.system.name for own in compositions]
    key = {"starts": starts, "steps": steps, "seed": seed, "systems": names}
    _claim(folder, {**key, "searches": list(SEARCHES), **get_settings()})
    for count, own in enumerate(compositions, 1):
        path = _name_file(folder, own)
        arrays = _load(path)
        if arrays is None:
            for name in SEARCHES:
                own.search(name, starts, steps, seed)
            _save(path, own)
        else:
            own.take_arrays(arrays)
        forget_programs(count)
        say(f"[{count}/{len(compositions)}] {own.system.name} {own.energies[0]:.4f}")
    _resume_rounds(compositions, folder)
    number = max(1, compositions[0].last_round)
    while number <= max(own.found_in for own in compositions) + PATIENCE:
        for count, own in enumerate(compositions, 1):
            if own.last_round == number:
                continue
            # In the first round from all, then from those that got lower since.
            news = [x for x in compositions if number == 1 or x.found_in >= number - 1]
            own.go_on_from([x for x in news if x is not own], number, seed + number)
            _save(_name_file(folder, own, "-rounds"), own)
            forget_programs(count)
            if own.found_in == number:
                say(f"round {number}: {own.system.name} {own.energies[0]:.4f}")
        say(f"round {number} is complete")
        number += 1


def _claim(folder: Path, key: dict[str, Any]) -> None:
    """Write down what a folder's files depend on, or compare it.

    **Raises:** `ValueError` if it is something else.
    """
    folder.mkdir(exist_ok=True)
    path, text = folder / KEY, json.dumps(key, indent=1)
    if not path.exists():
        atomic_write(path, f"{text}\n")
    elif path.read_text() != f"{text}\n":
        raise ValueError(f"{folder} is of another search: choose another folder")


def _resume_rounds(compositions: Sequence[Composition], folder: Path) -> None:
    """Take what was known after the last rounds, unless files are missing."""
    states = [_load(_name_file(folder, own, "-rounds")) for own in compositions]
    rounds = [0 if x is None else int(x["counts"][-1]) for x in states]
    if rounds != sorted(rounds, reverse=True) or rounds[0] > rounds[-1] + 1:
        say(f"{folder} lacks files of rounds: they begin anew")
        return
    for own, arrays in zip(compositions, states, strict=True):
        if arrays is not None:
            own.take_arrays(arrays)


def _name_file(folder: Path, own: Composition, suffix: str = "") -> Path:
    return folder / f"{own.system.name}{suffix}.npz"


def _save(path: Path, own: Composition) -> None:
    """Write what is known of a composition."""
    arrays: dict[str, Any] = own.to_arrays()
    atomic_save(path, lambda stream: np.savez(stream, **arrays))


def _load(path: Path) -> dict[str, np.ndarray] | None:
    """Read what `_save` wrote; `None` if there is no such file, or a damaged one."""
    try:
        with np.load(path) as file:
            return dict(file)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile):
        return None


def write_minima(
    compositions: Sequence[Composition],
    command: str,
    budget: tuple[int, int, int],
    folder: Path,
) -> None:
    """Write the table and the structures.

    **Arguments:**

    - `budget`: starts of each search, evaluations per start, and the seed.
    """
    starts, steps, seed = budget
    described = []
    for count, own in enumerate(compositions, 1):
        described.append(own.describe())
        forget_programs(count)
    run = describe_run(command)
    versions = ", ".join(f"{name} {x}" for name, x in run["versions"].items())
    text = io.StringIO()
    for line in (
        f"Putative global minima of clusters of two metals with {ATOMS} atoms, in eV.",
        f"Source: {command}",
        f"{', '.join(SEARCHES)}: {starts} starts of {steps} evaluations each, seed",
        f"{seed}; then rounds of searches from structures of other compositions.",
        f"Minima less than {SAME:g} eV apart count as one. next: the next minimum that",
        "was found. hits: of the starts. round: the one in which it was found, 0 if",
        "from random starts. How it is done: alloys.py.",
        f"{run['date']}, {run['cpu']}, {versions}",
    ):
        print("#", line, file=text)
    table = csv.DictWriter(text, [f.name for f in fields(Minimum)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(minimum) for minimum, _ in described)
    atomic_write(folder / TABLE, text.getvalue())
    text = io.StringIO()
    ase.io.write(text, [structure for _, structure in described], format="extxyz")
    atomic_write(folder / STRUCTURES, text.getvalue())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, or 2 for invalid arguments."""
    parser = Parser(prog="alloys.py", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    pairs = f"default: {','.join(PAIRS)}"
    add("--pairs", metavar="A,B", type=parse_names, default=list(PAIRS), help=pairs)
    numbers = "numbers of atoms of the second metal, default: all"
    add("--numbers", metavar="A,B", type=parse_names, default=None, help=numbers)
    add_budget_options(parser, starts=100, folder="results/alloys")
    options = parser.parse_args(arguments)
    use_all_cores()
    try:
        check_names("pair", options.pairs, PAIRS)
        known = list(map(str, range(ATOMS + 1)))
        chosen = known if options.numbers is None else options.numbers
        check_names("number", chosen, known)
        with lock_folder(options.out):
            compositions = [
                Composition(pair[:2], pair[2:], int(number))
                for pair in options.pairs
                for number in chosen
            ]
            budget = options.starts, options.steps, options.seed
            find_minima(compositions, *budget, options.out / "cells")
            command = format_command("python benchmarks/alloys.py", arguments)
            write_minima(compositions, command, budget, options.out)
    except (ValueError, OSError) as error:
        parser.fail(error)
    say(f"{TABLE} and {STRUCTURES} in {options.out}")
    return 0


if __name__ == "__main__":
    run_command(main)
