"""Lowest energies of clusters of two metals with 38 atoms: a search for references.

python benchmarks/alloys.py --out benchmarks/results/alloys

Every composition is searched from random starts. Then structures are handed on to all
other compositions and pairs of metals: atoms change places until the order is the best
one at fixed positions, and basin hopping goes on from the lowest minima; in later
rounds from what was found since. That ends when several rounds found nothing lower. The
lowest structures, after a quench in double precision, are written to minima.csv, with
how they were found, and to minima.xyz. Minima less than 1 meV apart count as one.
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
from benchmarks.lookup import check_names
from benchmarks.options import add_budget_options
from benchmarks.paper.figure7 import ATOMS
from benchmarks.runner import forget_programs, say
from hopgym._atomic_write import atomic_save, atomic_write
from hopgym._cli.arguments import Parser, parse_names
from hopgym._cli.devices import use_all_cores
from hopgym._cli.process import run as run_command
from hopgym._cli.provenance import describe_run, format_command
from hopgym._folder_lock import lock_folder
from hopgym.systems.gupta import PAIRS

TABLE, STRUCTURES = "minima.csv", "minima.xyz"
SEARCHES = ("bh-two-phase", "bh-symmetric", "bh-learned")
PATIENCE = 2  # rounds that find nothing, after which the search ends


def find_minima(
    compositions: Sequence[Composition],
    starts: int,
    steps: int,
    seed: int,
    folder: Path,
) -> None:
    """Search all compositions, and hand structures on until none gets lower.

    What is known of a composition after its searches from random starts, and after its
    last round, is kept in two files of the folder, from which the same call goes on.
    """
    key: dict[str, Any] = {"starts": starts, "steps": steps, "seed": seed}
    key["searches"] = list(SEARCHES)
    folder.mkdir(exist_ok=True)
    for count, own in enumerate(compositions, 1):
        path = folder / f"{own.system.name}.npz"
        arrays = _load(path, key)
        if arrays is None:
            for name in SEARCHES:
                own.search(name, starts, steps, seed)
            _save(path, key, own.to_arrays())
        else:
            own.take_arrays(arrays)
        forget_programs(count)
        say(f"[{count}/{len(compositions)}] {own.system.name} {own.energies[0]:.4f}")
    key |= {
        "systems": [own.system.name for own in compositions],
        "rounds": get_settings(),
    }
    for own in compositions:
        arrays = _load(folder / f"{own.system.name}-rounds.npz", key)
        if arrays is not None:
            own.take_arrays(arrays)
    number = max(1, max(own.searched for own in compositions))
    while number <= max(own.found for own in compositions) + PATIENCE:
        for count, own in enumerate(compositions, 1):
            if own.searched == number:
                continue
            # In the first round from all, then from those that found something since.
            news = [x for x in compositions if number == 1 or x.found >= number - 1]
            own.go_on_from([x for x in news if x is not own], seed + number)
            _save(folder / f"{own.system.name}-rounds.npz", key, own.to_arrays())
            forget_programs(count)
            if own.found == number:
                say(f"round {number}: {own.system.name} {own.energies[0]:.4f}")
        say(f"round {number} is complete")
        number += 1


def _save(path: Path, key: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write arrays to a file, with what they depend on."""
    everything: dict[str, Any] = {**arrays, "key": np.array(json.dumps(key))}
    atomic_save(path, lambda stream: np.savez(stream, **everything))


def _load(path: Path, key: dict[str, Any]) -> dict[str, np.ndarray] | None:
    """Read what `_save` wrote with the same key; `None` if there is no such file."""
    try:
        with np.load(path) as file:
            arrays = dict(file)
        return arrays if json.loads(str(arrays.pop("key"))) == key else None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
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
    described = [own.describe() for own in compositions]
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
