"""A search: many walks whose structures are quenched and collected as they run."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import jax
import numpy as np

from hopgym._cli.memory import check_memory, estimate_memory
from hopgym.minima.pool import Pool
from hopgym.structure_search.plan import Plan
from hopgym.structure_search.potential_walks import PotentialWalks
from hopgym.structure_search.search_folder import SearchFolder
from hopgym.structure_search.walks import Harvest, Stop, never
from hopgym.systems import get_system


class Search:
    """A search that can be advanced, saved to its folder and restored.

    **Arguments:**

    - `plan`: settings of the search.
    - `folder`: folder of its checkpoint and results.
    - `about`: provenance: the command that started it, versions and machine.

    **Attributes:**

    - `done`: completed steps of each start.
    - `collected`: the step after which structures were last quenched and collected.
    - `evaluations`: evaluations of the walks, summed over all starts.
    - `quench_evaluations`: evaluations of the quenches of structures of the walks.
    - `faults`: non-finite components of updates.
    - `unconverged`: number of quenches that did not converge.
    - `fragmented`: number of those that converged to a structure in several pieces.
    - `best`: lowest energy of a minimum that each start has visited.
    - `curve`: after each chunk a row of evaluations, lowest energy, mean of `best` and
      number of distinct minima.
    - `seconds`: time of the search.

    **Raises:** `KeyError` for an unknown system or optimizer; `OSError` or `ValueError`
    for a file of weights that cannot be used; `ValueError` if the starts do not fit
    into the memory.
    """

    def __init__(self, plan: Plan, folder: SearchFolder, about: dict[str, Any]):
        self.plan = plan
        self.folder = folder
        self.about = about
        self.system = get_system(plan.system)
        atoms = self.system.atoms
        check_memory(
            estimate_memory(plan.starts, atoms),
            f"{plan.starts:,} starts of {atoms:,} atoms",
        )
        if folder.has_search:
            folder.check_size(plan.starts, atoms)
        self.pool = Pool(self.system)
        self.done = self.collected = 0
        self.evaluations = self.quench_evaluations = 0
        self.faults = self.unconverged = self.fragmented = 0
        self.best = np.full(plan.starts, np.inf)
        self.curve: list[list[float]] = []
        self.seconds = 0.0
        optimizer = plan.make_optimizer(self.system)
        self.walks = PotentialWalks(self.system, optimizer, plan.seed, plan.starts)

    @property
    def unit(self) -> str:
        """Unit of energies."""
        return "epsilon" if self.system.elements == ("X",) else "eV"

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.collected >= self.plan.steps

    def compile(self) -> None:
        """Compile the walks, unless this has been done."""
        self.walks.compile()

    def advance(self, stop: Stop = never) -> None:
        """Advance the walks to the end of the chunk, and collect minima.

        **Arguments:**

        - `stop`: returns whether to stop earlier; the next call then completes the
          chunk.
        """
        timer = time.perf_counter()
        end = min(self.collected + self.plan.chunk, self.plan.steps)
        if self.done == self.collected:
            self.walks.begin_chunk()
        self.walks.advance(end, stop)
        self.done = self.walks.done
        self.evaluations = self.walks.evaluations
        self.faults = self.walks.faults
        if self.done == end and not stop():
            self._collect(self.walks.collect())
            self.collected = end
        self.seconds += time.perf_counter() - timer

    def _collect(self, harvest: Harvest) -> None:
        quenched = harvest.structures
        self.quench_evaluations += harvest.evaluations
        self.unconverged += int(np.sum(~quenched.converged))
        minima = quenched.converged & quenched.connected
        self.fragmented += int(np.sum(quenched.converged & ~quenched.connected))
        energies = np.where(minima, quenched.energy.astype(float), np.inf)
        np.minimum.at(self.best, harvest.starts, energies)
        self.pool.add(quenched, [{k} for k in harvest.starts], self.evaluations)
        known = self.best[np.isfinite(self.best)]
        if len(known):
            row = [self.evaluations, known.min(), known.mean(), len(self.pool.minima)]
            self.curve.append([float(value) for value in row])

    def save(self) -> None:
        """Write a checkpoint to the folder.

        **Raises:** `OSError` if it cannot be written.
        """
        arrays = self.pool.arrays()
        header = {
            "plan": dataclasses.asdict(self.plan),
            "about": self.about,
            "done": self.done,
            "collected": self.collected,
            "counts": [
                self.evaluations,
                self.quench_evaluations,
                self.faults,
                self.unconverged,
            ],
            "fragmented": self.fragmented,
            "curve": self.curve,
            "minima": len(arrays["energies"]),
            "pairs": len(arrays["starts"]),
            "seconds": self.seconds,
        }
        tree = {"rollout": self.walks.arrays(), "best": self.best, "pool": arrays}
        self.folder.save(self.plan, header, tree)

    def restore(self) -> None:
        """Restore the search from the checkpoint in the folder.

        **Raises:** `ValueError` if it is damaged or does not fit the plan.
        """
        header = self.folder.read_header()
        plan, minima, pairs = self.plan, header["minima"], header["pairs"]
        done = header["done"]
        collected = header.get("collected", done)
        if not (collected <= done <= min(collected + plan.chunk, plan.steps)):
            raise ValueError(
                f"{self.folder.path}: step {done} does not follow step {collected}"
            )
        self.folder.check_size(plan.starts, self.system.atoms, minima, pairs)
        like = {
            "rollout": self.walks.arrays(),
            "best": self.best,
            "pool": self.pool.blank(minima, pairs),
        }
        tree = self.folder.restore(like)
        visits = np.asarray(tree["pool"]["starts"])
        if np.any(visits < 0) or np.any(visits >= [minima, plan.starts]):
            raise ValueError(f"{self.folder.path}: minima of unknown starts")
        self.walks.restore(done, tree["rollout"])
        self.best = np.array(tree["best"])
        self.pool.restore(jax.tree.map(np.asarray, tree["pool"]))
        if "fragmented" in header:
            self.fragmented = header["fragmented"]
        else:  # written by a version that counted them among the minima
            self.fragmented = self.pool.discard_fragmented()
            self.best = self.pool.find_lowest(self.plan.starts)
        self.done, self.collected, self.curve = done, collected, header["curve"]
        self.seconds, self.about = header["seconds"], header["about"]
        counts = header["counts"]
        self.evaluations, self.quench_evaluations, self.faults, self.unconverged = (
            counts
        )
