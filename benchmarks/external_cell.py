"""A cell of the benchmark whose search is that of another program.

The program gets the same starts as the optimizers, one after the other. It sees the
potential through a `Recorder`, which counts evaluations and keeps the best structures
at the checkpoints of the protocol. Structures are then quenched, and hits decided, as
for optimizers (`run_cell.finish`).
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hopgym import Environment, Rollout, get_system
from hopgym.evaluation import run_cell
from hopgym.evaluation.columns import Cell
from hopgym.evaluation.first_hits import FirstHits, list_checkpoints
from hopgym.evaluation.run_cell import CellSpec
from hopgym.evaluation.summarise import choose_curve_steps, summarise_point
from hopgym.optimizers import GradientDescent

Potential = Callable[[np.ndarray], tuple[float, np.ndarray]]


def compile_potential(name: str) -> Potential:
    """Compile the energy and gradient of a system in double precision.

    **Returns:** a function of positions of shape `(atoms, 3)`.
    """
    with jax.enable_x64(True):
        system = get_system(name)
        program = jax.jit(lambda positions: system.energy_and_gradient(positions))

    def compute(positions: np.ndarray) -> tuple[float, np.ndarray]:
        with jax.enable_x64(True):
            energy, gradient = program(positions)
            return float(energy), np.asarray(gradient)

    return compute


class Recorder:
    """The potential as a program sees it, with a record of its search.

    An evaluation is one energy with its gradient. Asking for both, one after the other,
    at the same positions is one evaluation. What a program evaluates after its last
    evaluation is not recorded.

    **Arguments:**

    - `compute`: energy and gradient at positions of shape `(atoms, 3)`.
    - `goal`: energies below it are encounters with the reference minimum.
    - `steps`: evaluations after the first one.
    - `stops`: numbers of steps after which the best structure is kept.
    - `watch`: called with each of these and the best energy so far. If it raises an
      error, so does every evaluation from then on.

    **Attributes:**

    - `count`: number of evaluations.
    - `first_met`: number of evaluations at the first encounter, or -1.
    - `best`: best energy and positions so far.
    - `last`: positions of the last evaluation.
    - `kept`: best energy and positions after the steps in `stops`.
    - `error`: the error of `watch`.
    """

    def __init__(
        self,
        compute: Potential,
        goal: float,
        steps: int,
        stops: Iterable[int],
        watch: Callable[[int, float], None],
    ):
        self._compute = compute
        self._goal = goal
        self._steps = steps
        self._stops = frozenset(stops)
        self._watch = watch
        self._positions = np.empty(0)
        self._result = np.inf, np.empty(0)
        self.count = 0
        self.first_met = -1
        self.best = np.inf, np.empty(0)
        self.last = np.empty(0)
        self.kept: dict[int, tuple[float, np.ndarray]] = {}
        self.error: Exception | None = None

    @property
    def spent(self) -> bool:
        """Whether all evaluations have been used."""
        return self.count > self._steps

    def evaluate(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        """Energy and gradient at positions of shape `(atoms, 3)`."""
        if self.error is not None:
            raise self.error
        if not np.array_equal(positions, self._positions):
            self._positions = np.array(positions)
            self._result = self._compute(self._positions)
            if not self.spent:
                self._record(self._result[0])
        return self._result

    def _record(self, energy: float) -> None:
        self.count += 1
        self.last = self._positions
        if energy < self.best[0] or self.count == 1:
            self.best = energy, self.last
        if energy < self._goal and self.first_met < 0:
            self.first_met = self.count
        done = self.count - 1
        if done in self._stops:
            self.kept[done] = self.best
            try:
                self._watch(done, self.best[0])
            except Exception as error:
                self.error = error
                raise

    def get_best(self, done: int) -> tuple[float, np.ndarray]:
        """Best energy and positions after a number of steps in `stops`."""
        return self.kept.get(done, self.best)


def run(
    spec: CellSpec,
    program: Any,
    progress: Callable[[int, np.ndarray], None],
    announce: Callable[[str], None],
    hits: FirstHits | None = None,
    observe: Callable[[int, Any], None] | None = None,
) -> Cell:
    """Run a cell: search from one start after the other, quench and polish.

    **Arguments:** as of `run_cell.run`, with a program instead of an optimizer, see
    external_programs.py.

    **Returns:** the columns of the cell.
    """
    system, steps = spec.system, spec.steps
    announce("starting")
    key = jax.random.key(spec.seed)
    environment = Environment(system)
    initial = Rollout(environment, GradientDescent(), key, spec.starts).state
    starts = np.asarray(initial.positions, float)
    curve_stops = choose_curve_steps(steps, run_cell.choose_chunk(steps))
    checkpoints = list_checkpoints(steps)
    goal = float(environment.encounter_level)
    compute = compile_potential(system.name)
    records: list[Recorder] = []
    timer = time.perf_counter()
    for number, start in enumerate(starts):

        def watch(done: int, best: float, number: int = number) -> None:
            energies = [record.best[0] for record in records[:number]]
            progress(
                (number * steps + done) // len(starts), np.array([*energies, best])
            )

        record = Recorder(compute, goal, steps, curve_stops.union(checkpoints), watch)
        records.append(record)
        seed = np.random.SeedSequence([spec.seed, number]).generate_state(1)[0]
        try:
            program.search(record, start, steps + 1, int(seed))
        except Exception:
            if record.error is None:
                raise
        if record.error is not None:
            raise record.error
    seconds = time.perf_counter() - timer

    def stack(values: Iterable[Any]) -> jax.Array:
        return jnp.asarray(np.stack(list(values)), initial.positions.dtype)

    def get_state(done: int) -> Any:
        best = [record.get_best(done) for record in records]
        return dataclasses.replace(
            initial,
            evaluations=jnp.asarray(
                [min(done + 1, record.count) for record in records], jnp.int32
            ),
            best_energy=stack(energy for energy, _ in best),
            best_positions=stack(positions for _, positions in best),
        )

    hits = FirstHits(system, spec.starts) if hits is None else hits
    for done in checkpoints:
        state = get_state(done)
        hits.record(done, state)
        if observe is not None:
            observe(done, state)
    state = dataclasses.replace(
        get_state(steps),
        positions=stack(record.last for record in records),
        first_hit=jnp.asarray([record.first_met for record in records], jnp.int32),
    )
    curve = [
        summarise_point(
            done + 1, np.array([record.get_best(done)[0] for record in records])
        )
        for done in sorted(curve_stops)
    ]
    times = seconds + hits.seconds, 0.0
    return run_cell.finish(spec, program, state, hits, curve, times, announce)
