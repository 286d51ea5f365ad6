"""One cell of the benchmark: an optimizer on the starts of a system."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import columns
import jax
import jax.numpy as jnp
import numpy as np
from describe import describe, digest
from plugins import Entry

from hopgym import Environment, State, System, rollout
from hopgym.relax import polish, quench

# Part of the key of every stored cell: raise it when the meaning of a column changes.
PROTOCOL = 1
PROTOCOL_TEXT = (
    "Every start: `steps` search evaluations (energy+gradient; internal quenches "
    "included; the start itself is one more), the same starts for all optimizers of a "
    "system. Then an L-BFGS quench of the best structure so far (min, mean, hits) and "
    "1,000 gradient-descent steps at 1e-3 with components clipped to +-100 of the last "
    "structure (final_min, final_mean); both are counted in evaluations_post. A hit: "
    "quenched energy less than the system's tolerance above the lowest known minimum. "
    "evaluations_to_hit: search evaluations of all starts until their first hit, or "
    "until the end, divided by the number of hits."
)
CHUNKS = 500  # compiled calls in a search: how fine the curve and the bar are


@dataclass(frozen=True)
class Task:
    """A cell that is to be run."""

    system: System
    entry: Entry
    starts: int
    steps: int
    seed: int

    @property
    def name(self) -> tuple[str, str]:
        return self.system.name, self.entry.name


def key(task: Task, optimizer: Any) -> dict[str, Any]:
    """What a stored cell has to agree with to be taken for this one."""
    return {
        "protocol": PROTOCOL,
        "system": task.system.name,
        "optimizer": task.entry.name,
        "starts": task.starts,
        "steps": task.steps,
        "seed": task.seed,
        "dtype": jnp.zeros(()).dtype.name,
        "system_settings": digest(describe(task.system)),
        "optimizer_settings": digest(describe(optimizer)),
        "source": task.entry.source,
    }


def run(
    task: Task,
    optimizer: Any,
    progress: Callable[[int, np.ndarray], None],
    stage: Callable[[str], None],
) -> dict[str, Any]:
    """Search, quench and polish; the cell's columns.

    **Arguments:**

    - `progress`: called with the steps done and the best energies so far.
    - `stage`: called with a word for what begins.
    """
    system = task.system
    chunk = max(1, task.steps // CHUNKS)
    stops = columns.curve_stops(task.steps, chunk)
    curve = []

    def watch(done: int, state: State) -> None:
        best = np.asarray(state.best_energy)
        if done in stops:
            curve.append(columns.curve_point(done + 1, best))
        progress(done, best)

    stage("compiling")
    result = rollout(
        Environment(system),
        optimizer,
        jax.random.key(task.seed),
        task.starts,
        task.steps,
        chunk=chunk,
        progress=watch,
    )
    stage("quenching")
    timer = time.perf_counter()
    quenched = quench(system, result.state.best_positions)
    polished = polish(system, result.state.positions)
    energies = np.asarray(quenched.energy)
    seconds_post = time.perf_counter() - timer

    known = system.has_reference
    hit = np.asarray(system.is_hit(quenched.energy)) if known else None
    first_hit = np.asarray(result.state.first_hit)
    faults = np.asarray(result.state.faults)
    spent = [np.asarray(part.evaluations) for part in (quenched, polished)]
    return {
        "system": system.name,
        "optimizer": task.entry.name,
        "starts": task.starts,
        "steps": task.steps,
        "seed": task.seed,
        "dtype": energies.dtype.name,
        **columns.summarise(
            energies,
            np.asarray(polished.energy),
            np.asarray(result.state.evaluations),
            first_hit,
            hit,
        ),
        "evaluations_post": int(np.sum(spent, dtype=np.int64)),
        "seconds": round(result.seconds, 3),
        "seconds_post": round(seconds_post, 3),
        "compile_seconds": round(result.compile_seconds, 3),
        "faults": int(np.sum(faults, dtype=np.int64)),
        "not_converged": int(np.sum(~np.asarray(quenched.converged))),
        "reference": columns.number(system.reference) if known else None,
        "reference_source": system.reference_source,
        "tolerance": columns.number(system.tolerance),
        "settings": describe(optimizer),
        "energies": [columns.number(energy) for energy in energies],
        "first_hit": first_hit.tolist(),
        "curve": curve,
    }
