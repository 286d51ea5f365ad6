"""A search: many walks, whose best structures are quenched and collected."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hopgym.environment import Environment
from hopgym.relax import Quenched, quench
from hopgym.rollout import Rollout
from hopgym.search.command_line import Plan
from hopgym.search.minima import Pool
from hopgym.search.search_folder import SearchFolder
from hopgym.systems import get_system

LONGEST_QUENCH = 1000  # evaluations: few structures take more, and all wait for them


class Search:
    """The state of a search, which a folder keeps.

    **Arguments:**

    - `plan`: what is searched, and how.
    - `folder`: where it is kept.
    - `about`: of the command that began it.

    **Attributes:** `done` steps of each start; `evaluations` of the walks and
    `quench_evaluations` of the quenches of what they met, all starts together;
    `faults` and `unconverged` quenches; `best`, the lowest quenched energy of each
    start; `curve`, a row of evaluations, lowest energy, mean of `best` and number of
    distinct minima for each harvest; `seconds` of search.
    """

    def __init__(self, plan: Plan, folder: SearchFolder, about: dict[str, Any]):
        self.plan = plan
        self.folder = folder
        self.about = about
        self.system = get_system(plan.system)
        self.pool = Pool(self.system)
        self.done = 0
        self.evaluations = self.quench_evaluations = 0
        self.faults = self.unconverged = 0
        self.best = np.full(plan.starts, np.inf)
        self.curve: list[list[float]] = []
        self.seconds = 0.0
        optimizer = plan.make_optimizer(self.system)
        self._rollout = Rollout(
            Environment(self.system), optimizer, jax.random.key(plan.seed), plan.starts
        )

    @property
    def unit(self) -> str:
        """Unit of energies."""
        return "epsilon" if self.system.elements == ("X",) else "eV"

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.done >= self.plan.steps

    def advance(self) -> None:
        """Walk to the end of a chunk, and quench what each start has met.

        That is its best structure in this chunk, and the one where it is now.
        """
        timer = time.perf_counter()
        steps = min(self.plan.chunk, self.plan.steps - self.done)
        self._rollout.forget_best()
        state = jax.tree.map(np.asarray, self._rollout.advance(steps))
        self.done += steps
        self.evaluations = int(np.sum(state.evaluations, dtype=np.int64))
        self.faults = int(np.sum(state.faults, dtype=np.int64))
        met = jnp.concatenate([state.best_positions, state.positions])
        quenched = quench(self.system, met, steps=LONGEST_QUENCH)
        self._harvest(jax.tree.map(np.asarray, quenched))
        self.seconds += time.perf_counter() - timer

    def _harvest(self, quenched: Quenched) -> None:
        self.quench_evaluations += int(np.sum(quenched.evaluations, dtype=np.int64))
        self.unconverged += int(np.sum(~quenched.converged))
        energies = np.where(quenched.converged, quenched.energy.astype(float), np.inf)
        self.best = np.minimum(self.best, energies.reshape(2, -1).min(axis=0))
        starts = [{k} for k in range(self.plan.starts)]
        self.pool.add(quenched, 2 * starts, self.evaluations)
        known = self.best[np.isfinite(self.best)]
        if len(known):
            row = [self.evaluations, known.min(), known.mean(), len(self.pool.minima)]
            self.curve.append([float(value) for value in row])

    def save(self) -> None:
        """Keep everything in the folder.

        **Raises:** `OSError` if it cannot be written.
        """
        arrays = self.pool.arrays()
        header = {
            "plan": dataclasses.asdict(self.plan),
            "about": self.about,
            "done": self.done,
            "counts": [
                self.evaluations,
                self.quench_evaluations,
                self.faults,
                self.unconverged,
            ],
            "curve": self.curve,
            "minima": len(arrays["energies"]),
            "pairs": len(arrays["starts"]),
            "seconds": self.seconds,
        }
        tree = {"rollout": self._rollout.arrays(), "best": self.best, "pool": arrays}
        self.folder.save(header, tree)

    def restore(self) -> None:
        """Go on where the search in the folder was saved.

        **Raises:** `ValueError` if it is damaged or cannot be that of this plan.
        """
        header = self.folder.header()
        like = {
            "rollout": self._rollout.arrays(),
            "best": self.best,
            "pool": self.pool.blank(header["minima"], header["pairs"]),
        }
        tree = self.folder.restore(like)
        self._rollout.restore(tree["rollout"])
        self.best = np.asarray(tree["best"])
        self.pool.restore(jax.tree.map(np.asarray, tree["pool"]))
        self.done, self.curve = header["done"], header["curve"]
        self.seconds, self.about = header["seconds"], header["about"]
        counts = header["counts"]
        self.evaluations, self.quench_evaluations, self.faults, self.unconverged = (
            counts
        )
