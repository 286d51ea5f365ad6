"""A search: many walks whose structures are quenched and collected as they run."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import equinox as eqx
import jax
import numpy as np

from hopgym._cli.memory import check_memory, estimate_memory
from hopgym.minima.pool import Pool
from hopgym.structure_search.plan import Plan
from hopgym.structure_search.potential_walks import PotentialWalks
from hopgym.structure_search.search_folder import SearchFolder
from hopgym.structure_search.walks import AbstractWalks, Harvest, Stop, never
from hopgym.systems import System, get_system


class Search:
    """A search that can be advanced, saved to its folder and restored.

    **Arguments:**

    - `plan`: settings of the search.
    - `folder`: folder of its checkpoint and results.
    - `about`: provenance: the command that started it, versions and machine.
    - `walks`: by default those on the potential of the system of the plan.
    - `setup`: what makes such walks, for the checkpoint; empty for a potential.

    **Attributes:**

    - `collected`: the step after which structures were last quenched and collected.
    - `quench_evaluations`: evaluations of the quenches of structures of the walks.
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

    def __init__(
        self,
        plan: Plan,
        folder: SearchFolder,
        about: dict[str, Any],
        walks: AbstractWalks | None = None,
        setup: dict[str, Any] | None = None,
    ):
        self.plan = plan
        self.folder = folder
        self.about = about
        self.setup = {} if setup is None else setup
        self.system: Any = get_system(plan.system) if walks is None else walks.system
        atoms = self.system.atoms
        check_memory(
            estimate_memory(plan.starts, atoms),
            f"{plan.starts:,} starts of {atoms:,} atoms",
        )
        if folder.has_search:
            folder.check_size(plan.starts, atoms)
        self.collected = self.quench_evaluations = 0
        self.unconverged = self.fragmented = 0
        self.best = np.full(plan.starts, np.inf)
        self.curve: list[list[float]] = []
        self.seconds = 0.0
        self._has_begun_chunk = False
        if walks is None:
            optimizer = plan.make_optimizer(self.system)
            walks = PotentialWalks(self.system, optimizer, plan.seed, plan.starts)
        self.walks: AbstractWalks = walks
        self.pool = Pool(self.system, walks.tolerances, walks.dtype)

    @property
    def done(self) -> int:
        """Completed steps of each start."""
        return self.walks.done

    @property
    def evaluations(self) -> int:
        """Evaluations of the walks, summed over all starts."""
        return self.walks.evaluations

    @property
    def faults(self) -> int:
        """Non-finite components of updates."""
        return self.walks.faults

    @property
    def unit(self) -> str:
        """Unit of energies."""
        return "epsilon" if set(self.system.symbols) == {"X"} else "eV"

    @property
    def reference(self) -> float | None:
        """Lowest known energy, if there is one."""
        system = self.system
        if not isinstance(system, System) or not system.has_reference:
            return None
        return float(system.reference)

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
        if not self._has_begun_chunk:
            self.walks.begin_chunk()
            self._has_begun_chunk = True
        self.walks.advance(end, stop)
        if self.done == end and not stop():
            self._collect(self.walks.collect())
            self.collected = end
            self._has_begun_chunk = False
        self.seconds += time.perf_counter() - timer

    def describe_progress(self) -> str:
        """A line about steps, lowest energy and number of minima."""
        best = f"{self.curve[-1][1]:.4f} {self.unit}" if self.curve else "none yet"
        return (
            f"{self.system.name}  {self.done:,}/{self.plan.steps:,} steps  "
            f"best {best}  {len(self.pool.minima):,} minima"
        )

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
            "walks": self.walks.sizes(),
            "setup": self.setup,
            "has_begun_chunk": self._has_begun_chunk,
            "seconds": self.seconds,
        }
        tree = {"rollout": self.walks.arrays(), "best": self.best, "pool": arrays}
        self.folder.save(self.plan, header, tree)

    def restore(self) -> None:
        """Restore the search from the checkpoint in the folder.

        The plan may prolong that of the checkpoint. Then new starts begin at step 0.

        **Raises:** `ValueError` if it is damaged or does not fit the plan, or for more
        steps if the optimizer has a schedule.
        """
        header = self.folder.read_header()
        plan = Plan.from_json(header["plan"], str(self.folder.path))
        self._check_schedule(plan)
        minima, pairs = header["minima"], header["pairs"]
        done = header["done"]
        collected = header.get("collected", done)
        if not (collected <= done <= min(collected + plan.chunk, plan.steps)):
            raise ValueError(
                f"{self.folder.path}: step {done} does not follow step {collected}"
            )
        self.folder.check_size(plan.starts, self.system.atoms, minima, pairs)
        like = {
            "rollout": self.walks.blank(header.get("walks", {})),
            "best": self.best[: plan.starts],
            "pool": self.pool.blank(minima, pairs),
        }
        tree = self.folder.restore(like)
        visits = np.asarray(tree["pool"]["starts"])
        if np.any(visits < 0) or np.any(visits >= [minima, plan.starts]):
            raise ValueError(f"{self.folder.path}: minima of unknown starts")
        self.walks.restore(done, tree["rollout"])
        self.best[: plan.starts] = tree["best"]
        self.pool.restore(jax.tree.map(np.asarray, tree["pool"]))
        if "fragmented" in header:
            self.fragmented = header["fragmented"]
        else:  # written by a version that counted them among the minima
            self.fragmented = self.pool.discard_fragmented()
            self.best = self.pool.find_lowest(self.plan.starts)
        if self.plan.starts > plan.starts:
            collected = 0
        self.collected, self.curve = collected, header["curve"]
        self.setup = header.get("setup", {})
        self._has_begun_chunk = header.get("has_begun_chunk", done > collected)
        self.seconds, self.about = header["seconds"], header["about"]
        _, self.quench_evaluations, _, self.unconverged = header["counts"]

    def _check_schedule(self, stored: Plan) -> None:
        """Raise `ValueError` if more steps make another optimizer."""
        if stored.steps == self.plan.steps:
            return
        before = stored.make_optimizer(self.system)
        if not eqx.tree_equal(before, self.plan.make_optimizer(self.system)):
            raise ValueError(
                f"{self.plan.optimizer} has a schedule for {stored.steps:,} steps: a "
                "search with more of them is another one, choose another --out"
            )
