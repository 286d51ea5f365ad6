"""A composition of a cluster of two metals, and the search of its lowest minima."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms

from benchmarks.alloy_search.chemical_order import Positions, find_order
from benchmarks.paper.figure7 import ATOMS, name_system
from hopgym import Environment, Quenched, get_system, quench, rollout
from hopgym.chemistry import to_ase
from hopgym.evaluation.plugins import find_optimizers
from hopgym.optimizers import bh_lbfgs
from hopgym.potentials import Gupta

SAME = 1e-3  # eV by which two energies of one minimum differ at most
KNOWN = 60  # lowest minima of a composition, from which searches go on
HANDED_ON = 4  # of them, those that other compositions get
STEPS = 20_000  # evaluations of a search that goes on from one of them
TEMPERATURE = 0.1  # of these searches, in units of energy


def get_settings() -> dict[str, float]:
    """What a search from structures of other compositions depends on."""
    settings = {"known": KNOWN, "handed_on": HANDED_ON, "steps": STEPS}
    return {**settings, "temperature": TEMPERATURE}


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
    - `evaluations`: of energy and forces, in all searches.
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

    **Attributes:**

    - `number`, `order`: number of atoms of the second metal, and which these are.
    - `energies`, `structures`: of the lowest minima, the lowest first.
    - `runs`: energies that were found from random starts, by name of the search.
    - `evaluations`: in all searches.
    - `found_in`: round in which the lowest minimum was found; 0: from random starts.
    - `last_round`: in which it was searched.
    """

    def __init__(self, first: str, second: str, number: int):
        self.number = number
        self.order = np.arange(ATOMS) >= ATOMS - number
        self.system = get_system(name_system(first, second, number))
        self.energies = np.zeros(0)
        self.structures: list[Positions] = []
        self.runs: dict[str, np.ndarray] = {}
        self.evaluations = self.found_in = self.last_round = 0

    def search(self, name: str, starts: int, steps: int, seed: int) -> None:
        """Search from random starts."""
        (entry,) = find_optimizers([name])
        found = self._run(entry.make(self.system, steps), starts, steps, seed)
        self.runs[name] = found

    def go_on_from(self, others: Sequence[Composition], number: int, seed: int) -> None:
        """Search once more, from the structures of other compositions and its own.

        In those of others, a good chemical order is sought at fixed positions, and once
        more after a quench. Basin hopping goes on from the lowest minima.

        **Arguments:**

        - `others`: compositions whose structures it gets.
        - `number`: of the round.
        - `seed`: of the random numbers.
        """
        self.last_round = number
        before = self.energies.min()
        adopted = [x for other in others for x in self.adopt(other)]
        if adopted:
            energies, quenched = self._quench(jnp.asarray(np.stack(adopted)))
            sound = [x for x, e in zip(quenched, energies, strict=True) if e < np.inf]
            if sound:
                again = [self._reorder(x, self.order) for x in sound]
                self._quench(jnp.asarray(np.stack(again)))
        chosen = np.resize(np.arange(len(self.structures)), KNOWN)
        search = bh_lbfgs(self.system, temperature=TEMPERATURE)
        starts = jnp.asarray(np.stack(self.structures)[chosen])
        self._run(search, starts, STEPS, seed)
        if self.energies.min() < before - SAME:
            self.found_in = number

    def adopt(self, other: Composition) -> list[Positions]:
        """Structures of another composition, with metals of this one."""
        ratio = float(self.system.length) / float(other.system.length)
        return [
            self._reorder(ratio * x, other.order) for x in other.structures[:HANDED_ON]
        ]

    def _reorder(self, positions: Positions, order: np.ndarray) -> Positions:
        """Find a good chemical order, and put the first metal first."""
        potential = self.system.potential
        assert isinstance(potential, Gupta)
        best = find_order(potential, positions, order, self.number)
        return positions[np.argsort(best, kind="stable")]

    def _run(self, optimizer: Any, starts: Any, steps: int, seed: int) -> np.ndarray:
        """Search, and return the energies of what was found."""
        found = rollout(
            Environment(self.system), optimizer, jax.random.key(seed), starts, steps
        ).state
        self.evaluations += int(np.sum(np.asarray(found.evaluations, np.int64)))
        return self._quench(found.best_positions)[0]

    def _quench(self, positions: Any) -> tuple[np.ndarray, list[Positions]]:
        """Quench structures and keep the lowest; energies are infinite if unsound."""
        quenched = quench(self.system, positions)
        self.evaluations += int(np.sum(np.asarray(quenched.evaluations, np.int64)))
        energies = _get_sound_energies(quenched)
        structures = list(np.asarray(quenched.positions))
        self._keep(energies, structures)
        return energies, structures

    def _keep(self, energies: np.ndarray, structures: Sequence[Positions]) -> None:
        """Keep the lowest structures that differ in energy."""
        energies = np.concatenate([self.energies, energies])
        structures = [*self.structures, *structures]
        kept: list[int] = []
        for k in np.argsort(energies):
            if not kept or energies[k] > energies[kept[-1]] + SAME:
                kept.append(int(k))
        kept = [k for k in kept[:KNOWN] if np.isfinite(energies[k])]
        self.energies = energies[kept]
        self.structures = [structures[k] for k in kept]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All that is known."""
        arrays = {f"run {name}": x for name, x in self.runs.items()}
        arrays |= {"energies": self.energies, "structures": np.stack(self.structures)}
        counts = np.array([self.evaluations, self.found_in, self.last_round])
        return arrays | {"counts": counts}

    def take_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take what `to_arrays` returned.

        **Raises:** `KeyError` if something is missing.
        """
        self.energies = arrays["energies"]
        self.structures = list(arrays["structures"])
        self.evaluations, self.found_in, self.last_round = arrays["counts"].tolist()
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
            energies = _get_sound_energies(found)
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
            self.found_in,
            self.evaluations,
        )
        return minimum, structure


def _get_sound_energies(quenched: Quenched) -> np.ndarray:
    """Energies of quenched structures; infinite if not converged or in pieces."""
    is_sound = np.asarray(quenched.converged & quenched.connected)
    return np.where(is_sound, np.asarray(quenched.energy), np.inf)
