"""Walks on a potential of hopgym: all starts at once, in JAX."""

from __future__ import annotations

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from jaxtyping import Float, PyTree

from hopgym._cli.pace import Pace
from hopgym.chemistry import to_ase
from hopgym.environment import Environment
from hopgym.relax import quench
from hopgym.rollout import Rollout
from hopgym.structure_search.walks import AbstractWalks, Harvest, Refined, Stop, never
from hopgym.systems import System, get_system

MAX_QUENCH_STEPS = 1000  # few structures need more, and all others wait for these


class PotentialWalks(AbstractWalks):
    """A rollout; two structures of each start are quenched after each chunk.

    These are the best structure of the chunk and the current one.

    **Arguments:**

    - `system`: the system.
    - `optimizer`: the optimizer.
    - `seed`, `starts`: random seed, and number of starts.
    """

    def __init__(self, system: System, optimizer: Any, seed: int, starts: int):
        self._system = system
        self._starts = starts
        self._rollout = Rollout(
            Environment(system), optimizer, jax.random.key(seed), starts
        )
        self._pace = Pace()
        self._done = 0

    @property
    def system(self) -> System:
        return self._system

    @property
    def done(self) -> int:
        return self._done

    @property
    def evaluations(self) -> int:
        return int(np.sum(np.asarray(self._rollout.state.evaluations), dtype=np.int64))

    @property
    def faults(self) -> int:
        return int(np.sum(np.asarray(self._rollout.state.faults), dtype=np.int64))

    @property
    def failures(self) -> int:
        return 0

    def compile(self) -> None:
        self._rollout.compile()

    def begin_chunk(self) -> None:
        self._rollout.forget_best()

    def advance(self, end: int, stop: Stop = never) -> None:
        while self._done < end and not stop():
            steps = min(self._pace.steps, end - self._done)
            call = time.perf_counter()
            self._rollout.advance(steps)
            self._pace.record(steps, time.perf_counter() - call)
            self._done += steps

    def collect(self) -> Harvest:
        state = self._rollout.state
        met = jnp.concatenate([state.best_positions, state.positions])
        quenched = quench(self._system, met, steps=MAX_QUENCH_STEPS)
        quenched = jax.tree.map(np.asarray, quenched)
        spent = int(np.sum(quenched.evaluations, dtype=np.int64))
        return Harvest(quenched, 2 * list(range(self._starts)), spent)

    def refine(self, positions: Float[np.ndarray, "structures atoms 3"]) -> Refined:
        with jax.enable_x64(True):
            system = get_system(self._system.name)
            quenched = quench(system, jnp.asarray(positions, float))
            gradients = jax.jit(jax.vmap(system.energy_and_gradient))
            _, gradients = gradients(quenched.positions)
        quenched = jax.tree.map(np.asarray, quenched)
        spent = int(np.sum(quenched.evaluations, dtype=np.int64))
        return Refined(quenched, np.asarray(gradients), spent + len(positions))

    def to_ase(
        self,
        positions: Float[np.ndarray, "atoms 3"],
        energy: float,
        gradient: Float[np.ndarray, "atoms 3"] | None,
    ) -> Atoms:
        return to_ase(self._system, positions, energy, gradient)

    def arrays(self) -> PyTree:
        return self._rollout.arrays()

    def sizes(self) -> dict[str, int]:
        return {}

    def blank(self, sizes: dict[str, int]) -> PyTree:
        return self._rollout.arrays()

    def restore(self, done: int, arrays: PyTree) -> None:
        self._rollout.restore(arrays)
        self._done = done

    def close(self) -> None:
        """It holds nothing but memory."""
