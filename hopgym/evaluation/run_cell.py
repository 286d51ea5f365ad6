"""A cell of the benchmark: one optimizer on the starts of one system."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hopgym._cli.provenance import describe_host
from hopgym.environment import Environment, State
from hopgym.evaluation.describe import describe, digest
from hopgym.evaluation.first_hits import INTERVAL, FirstHits, list_checkpoints
from hopgym.evaluation.plugins import Entry
from hopgym.evaluation.summarise import (
    choose_curve_steps,
    round_number,
    summarise,
    summarise_point,
)
from hopgym.relax import polish, quench
from hopgym.rollout import rollout
from hopgym.systems import System

# Part of the key of stored cells: increase it when the meaning of a column changes.
PROTOCOL = 2
PROTOCOL_TEXT = (
    "Every start: `steps` search evaluations (energy+gradient; internal quenches "
    "included; the start itself is one more), the same starts for all optimizers of a "
    "system. Then an L-BFGS quench of the best structure so far (min, mean) and "
    "1,000 gradient-descent steps at 1e-3 with components clipped to +-100 of the last "
    "structure (final_min, final_mean). The best structure so far is also quenched "
    f"every {INTERVAL} steps where it has changed, until the first hit. All these are "
    "counted in evaluations_post. A hit: the energy of one of the quenched structures "
    "is less than the system's tolerance above the lowest known minimum. It counts at "
    "its checkpoint plus the evaluations of the quench, or earlier if the search "
    "itself met the minimum. evaluations_to_hit: evaluations of all starts until their "
    "first hit, or until the end of the search, divided by the number of hits."
)
# Compiled calls per search, at least: resolution of curve and progress bar.
CHUNKS = 250
CHUNK_SIZES = tuple(size for size in range(1, INTERVAL + 1) if INTERVAL % size == 0)


@dataclass(frozen=True)
class CellSpec:
    """A cell to be run: `steps` search evaluations from each start."""

    system: System
    entry: Entry
    starts: int
    steps: int
    seed: int

    @property
    def name(self) -> tuple[str, str]:
        """Names of the system and the optimizer."""
        return self.system.name, self.entry.name


def make_key(spec: CellSpec, optimizer: Any) -> dict[str, Any]:
    """Settings in which a stored cell must agree to be used for this one."""
    return {
        "protocol": PROTOCOL,
        "system": spec.system.name,
        "optimizer": spec.entry.name,
        "starts": spec.starts,
        "steps": spec.steps,
        "seed": spec.seed,
        "dtype": jnp.zeros(()).dtype.name,
        "system_settings": digest(describe(spec.system)),
        "optimizer_settings": digest(describe(optimizer)),
        "source": spec.entry.source,
    }


def run(
    spec: CellSpec,
    optimizer: Any,
    progress: Callable[[int, np.ndarray], None],
    announce: Callable[[str], None],
    hits: FirstHits | None = None,
    observe: Callable[[int, State], None] | None = None,
) -> dict[str, Any]:
    """Run a cell: search, quench and polish.

    **Arguments:**

    - `spec`, `optimizer`: the cell and its optimizer.
    - `progress`: called with the number of completed steps and the best energies.
    - `announce`: called with the name of each stage at its start.
    - `hits`: where first hits are recorded, for those who want their structures.
    - `observe`: called with the number of completed steps and the state at each
      checkpoint.

    **Returns:** the columns of the cell.
    """
    system = spec.system
    chunk = choose_chunk(spec.steps)
    stops = choose_curve_steps(spec.steps, chunk)
    checkpoints = frozenset(list_checkpoints(spec.steps))
    curve = []
    found = FirstHits(system, spec.starts) if hits is None else hits

    def watch(done: int, state: State) -> None:
        best = np.asarray(state.best_energy)
        if done in stops:
            curve.append(summarise_point(done + 1, best))
        if done in checkpoints:
            found.record(done, state)
            if observe is not None:
                observe(done, state)
        progress(done, best)

    announce("compiling")
    result = rollout(
        Environment(system),
        optimizer,
        jax.random.key(spec.seed),
        spec.starts,
        spec.steps,
        chunk=chunk,
        progress=watch,
    )
    times = result.seconds, result.compile_seconds
    return finish(spec, optimizer, result.state, found, curve, times, announce)


def finish(
    spec: CellSpec,
    optimizer: Any,
    state: State,
    hits: FirstHits,
    curve: list[dict[str, Any]],
    times: tuple[float, float],
    announce: Callable[[str], None],
) -> dict[str, Any]:
    """Quench and polish after a search.

    **Arguments:**

    - `spec`, `optimizer`, `announce`: see `run`.
    - `state`: state of all starts at the end.
    - `hits`: with the structures at the checkpoints.
    - `curve`: the column of this name.
    - `times`: seconds of the search, and of its compilation.

    **Returns:** the columns of the cell.
    """
    system = spec.system
    announce("quenching")
    timer = time.perf_counter()
    quenched = quench(system, state.best_positions)
    polished = polish(system, state.positions)
    first_hit = hits.finish(np.asarray(state.first_hit), quenched, announce)
    seconds_post = time.perf_counter() - timer

    known = system.has_reference
    energies = np.asarray(quenched.energy)
    faults = np.asarray(state.faults)
    host = describe_host()
    spent = [np.asarray(part.evaluations) for part in (quenched, polished)]
    return {
        "system": system.name,
        "optimizer": spec.entry.name,
        "starts": spec.starts,
        "steps": spec.steps,
        "seed": spec.seed,
        "dtype": energies.dtype.name,
        "protocol": PROTOCOL,
        **summarise(
            energies,
            np.asarray(polished.energy),
            np.asarray(state.evaluations),
            first_hit if known else None,
        ),
        "evaluations_post": int(np.sum(spent, dtype=np.int64)) + hits.evaluations,
        "seconds": round(times[0] - hits.seconds, 3),
        "seconds_post": round(seconds_post + hits.seconds, 3),
        "compile_seconds": round(times[1], 3),
        "faults": int(np.sum(faults, dtype=np.int64)),
        "not_converged": int(np.sum(~np.asarray(quenched.converged))),
        "reference": round_number(system.reference) if known else None,
        "reference_source": system.reference_source,
        "tolerance": round_number(system.tolerance),
        "settings": describe(optimizer),
        "energies": [round_number(energy) for energy in energies],
        "first_hit": first_hit.tolist(),
        "curve": curve,
        "date": host.pop("date"),
        "host": host,
        "key": make_key(spec, optimizer),
    }


def choose_chunk(steps: int) -> int:
    """Choose the steps per compiled call: checkpoints are multiples of them."""
    return max(size for size in CHUNK_SIZES if size <= max(1, steps // CHUNKS))
