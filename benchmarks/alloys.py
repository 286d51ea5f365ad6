"""Lowest energies of clusters of two metals with 38 atoms: a search for references.

python benchmarks/alloys.py --out benchmarks/results/alloys

Every composition is searched from random starts. Then structures are handed on to the
neighbours: those with one atom of the other metal, and the same composition of other
pairs of metals. They are the starts of searches that exchange atoms only, round after
round until none finds a lower energy. The lowest ones, after a quench in double
precision, are written to minima.csv, with how they were found, and their structures to
minima.xyz. Minima less than 1 meV apart count as one.
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
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import ase.io
import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from jaxtyping import Float

from benchmarks.lookup import check_names
from benchmarks.options import add_budget_options
from benchmarks.paper.figure7 import ATOMS, name_system
from benchmarks.plugins import find_optimizers
from benchmarks.runner import forget_programs, say
from hopgym import Environment, get_system, quench, rollout
from hopgym._atomic_write import atomic_save, atomic_write
from hopgym._cli.arguments import Parser, parse_names
from hopgym._cli.devices import use_all_cores
from hopgym._cli.process import run as run_command
from hopgym._cli.provenance import describe_run, format_command
from hopgym._folder_lock import lock_folder
from hopgym.chemistry import to_ase
from hopgym.optimizers import bh_lbfgs
from hopgym.systems.gupta import PAIRS

TABLE, STRUCTURES = "minima.csv", "minima.xyz"
SEARCHES = ("bh-two-phase", "bh-symmetric", "bh-learned")
SAME = 1e-3  # eV by which two energies of one minimum differ at most
KEPT = 4  # structures of a composition that are handed on
HANDED_STEPS = 2000  # evaluations of a search that exchanges atoms only

Structure = Float[np.ndarray, "atoms 3"]


@dataclass(frozen=True)
class Minimum:
    """The lowest structure of a composition that was found: a row of the table.

    **Arguments:**

    - `system`: its name.
    - `energy`: in eV.
    - `next`: energy of the next minimum that is more than `SAME` higher, in eV; `None`
      if none was kept.
    - `hits`: of the `starts` of all searches from random starts, those that found it,
      or one at most `SAME` higher.
    - `round`: of the structures that were handed on, in which it was found; 0 if it was
      found from random starts.
    - `evaluations`: of all searches.
    """

    system: str
    energy: float
    next: float | None
    hits: int
    starts: int
    round: int
    evaluations: int


class Composition:
    """What is known of a composition: its best structures, and how they were found.

    Structures have the atoms of the first metal first.
    """

    def __init__(self, first: str, second: str, number: int):
        self.pair, self.number = (first, second), number
        self.system = get_system(name_system(first, second, number))
        self.energies = np.zeros(0)
        self.structures: list[Structure] = []
        self.runs: dict[str, np.ndarray] = {}  # energies of all starts
        self.evaluations = self.round = 0

    def search(self, name: str, starts: int, steps: int, seed: int) -> None:
        """Search from random starts."""
        (entry,) = find_optimizers([name])
        found = self._run(entry.make(self.system, steps), starts, steps, seed)
        self.runs[name] = found

    def go_on_from(
        self, structures: Sequence[Structure], seed: int, number: int
    ) -> bool:
        """Exchange atoms of some structures; whether that found a lower energy."""
        before = self.energies.min()
        search = bh_lbfgs(self.system, surface=0.0, exchange=1.0, temperature=0.1)
        self._run(search, jnp.asarray(np.stack(structures)), HANDED_STEPS, seed)
        is_lower = bool(self.energies.min() < before - SAME)
        self.round = number if is_lower else self.round
        return is_lower

    def _run(self, optimizer: Any, starts: Any, steps: int, seed: int) -> np.ndarray:
        found = rollout(
            Environment(self.system), optimizer, jax.random.key(seed), starts, steps
        ).state
        quenched = quench(self.system, found.best_positions)
        self.evaluations += int(np.sum(np.asarray(found.evaluations, np.int64)))
        self.evaluations += int(np.sum(np.asarray(quenched.evaluations, np.int64)))
        is_sound = np.asarray(quenched.converged & quenched.connected)
        energies = np.where(is_sound, np.asarray(quenched.energy), np.inf)
        self._keep(energies, np.asarray(quenched.positions))
        return energies

    def _keep(self, energies: np.ndarray, positions: np.ndarray) -> None:
        """Keep the lowest structures that differ in energy."""
        energies = np.concatenate([self.energies, energies])
        structures = [*self.structures, *positions]
        kept: list[int] = []
        for k in np.argsort(energies):
            if not kept or energies[k] > energies[kept[-1]] + SAME:
                kept.append(int(k))
        kept = [k for k in kept[:KEPT] if np.isfinite(energies[k])]
        self.energies = energies[kept]
        self.structures = [structures[k] for k in kept]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All that is known."""
        arrays = {f"run {name}": x for name, x in self.runs.items()}
        arrays |= {"energies": self.energies, "structures": np.stack(self.structures)}
        return arrays | {"counts": np.array([self.evaluations, self.round])}

    def take_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take what `to_arrays` returned.

        **Raises:** `KeyError` if something is missing.
        """
        self.energies = arrays["energies"]
        self.structures = list(arrays["structures"])
        self.evaluations, self.round = arrays["counts"].tolist()
        self.runs = {
            name.removeprefix("run "): x
            for name, x in arrays.items()
            if name.startswith("run ")
        }

    def describe(self) -> tuple[Minimum, Atoms]:
        """The lowest structure, after a quench in double precision."""
        with jax.enable_x64(True):
            system = get_system(self.system.name)
            found = quench(system, jnp.asarray(np.stack(self.structures), float))
            is_sound = np.asarray(found.converged & found.connected)
            energies = np.where(is_sound, np.asarray(found.energy), np.inf)
            lowest = int(np.argmin(energies))
            energy = float(energies[lowest])
            structure = to_ase(system, np.asarray(found.positions[lowest]), energy)
        higher = energies[np.isfinite(energies) & (energies > energy + SAME)]
        starts = np.concatenate(list(self.runs.values()))
        structure.info["system"] = system.name
        minimum = Minimum(
            system.name,
            round(energy, 6),
            round(float(higher.min()), 6) if len(higher) else None,
            int(np.sum(starts < energy + SAME)),
            len(starts),
            self.round,
            self.evaluations,
        )
        return minimum, structure


def transmute(
    structure: Structure, first_atoms: int, to_second: bool
) -> list[Structure]:
    """All structures with one atom of the other metal.

    **Arguments:**

    - `structure`: with the atoms of the first metal first.
    - `first_atoms`: their number.
    - `to_second`: whether one of them becomes one of the second metal, or the other way
      round.
    """
    chosen = range(first_atoms) if to_second else range(first_atoms, len(structure))
    found = []
    for k in chosen:
        rest = np.delete(structure, k, axis=0)
        border = first_atoms - 1 if to_second else first_atoms
        found.append(np.insert(rest, border, structure[k], axis=0))
    return found


def choose_starts(
    own: Composition, others: Sequence[Composition], most: int, seed: int
) -> list[Structure]:
    """Structures of the neighbours of a composition, with its own metals.

    All structures of other pairs with the same numbers, and of those that differ in one
    atom as many as are left of `most`, drawn at random.
    """
    scale = float(own.system.length)
    same, near = list(own.structures), []
    for other in others:
        ratio = scale / float(other.system.length)
        if other is own:
            continue
        if other.number == own.number:
            same += [ratio * structure for structure in other.structures]
        elif other.pair == own.pair and abs(other.number - own.number) == 1:
            for structure in other.structures:
                to_second = other.number < own.number
                near += transmute(structure, ATOMS - other.number, to_second)
    generator = np.random.default_rng(seed)
    drawn = generator.permutation(len(near))[: max(0, most - len(same))]
    return [*same, *(near[k] for k in drawn)]


def find_minima(
    compositions: Sequence[Composition],
    starts: int,
    steps: int,
    seed: int,
    folder: Path,
) -> None:
    """Search all compositions, and hand structures on until none gets lower.

    What is found is kept in the folder, from which the same call goes on: what random
    starts found in a file of each composition, and all that is known after a round in
    rounds.npz.
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
            forget_programs(count)
        else:
            own.take_arrays(arrays)
        say(f"[{count}/{len(compositions)}] {own.system.name} {own.energies[0]:.4f}")
    path = folder / "rounds.npz"
    key |= {"systems": [own.system.name for own in compositions]}
    key |= {"handed_steps": HANDED_STEPS}
    number, changed = 0, list(compositions)
    arrays = _load(path, key)
    if arrays is not None:
        number = int(arrays["number"])
        changed = [compositions[k] for k in arrays["changed"]]
        for k, own in enumerate(compositions):
            prefix = f"{k} "
            mine = {n: x for n, x in arrays.items() if n.startswith(prefix)}
            own.take_arrays({n.removeprefix(prefix): x for n, x in mine.items()})
    while changed:
        number, before, changed = number + 1, {*changed}, []
        for count, own in enumerate(compositions, 1):
            forget_programs(count)
            if own.number in (0, ATOMS):
                continue
            neighbours = [
                other
                for other in compositions
                if other.number == own.number or other.pair == own.pair
            ]
            if not before & {*neighbours}:
                continue
            chosen = choose_starts(own, neighbours, starts, seed + number)
            if own.go_on_from(chosen, seed + number, number):
                changed.append(own)
                say(f"round {number}: {own.system.name} {own.energies[0]:.4f}")
        arrays = {"number": np.array(number)}
        arrays["changed"] = np.array([compositions.index(x) for x in changed], int)
        for k, own in enumerate(compositions):
            arrays |= {f"{k} {name}": x for name, x in own.to_arrays().items()}
        _save(path, key, arrays)


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
        f"{seed}; then structures of other compositions. Minima less than {SAME:g} eV",
        "apart count as one, that of hits, too. How it is done: alloys.py.",
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
