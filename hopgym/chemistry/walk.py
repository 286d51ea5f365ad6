"""A run of an optimizer from one start, whose structures are evaluated elsewhere."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from hopgym.chemistry.evaluation import Evaluation
from hopgym.chemistry.precision import to_float64
from hopgym.context import Context

# A search gives up after so many failed evaluations in a row.
MAX_FAILURES = 10


class Walk:
    """A run of an optimizer in double precision: it proposes one structure at a time.

    `propose` returns the next structure; `accept` or `fail` tells what came of it. The
    state changes only then, so a proposal whose evaluation was given up is made again.

    **Arguments:**

    - `optimizer`: an optimizer.
    - `positions`: of the start, which is not evaluated yet.
    - `key`: random key of the optimizer.
    - `context`: see [`hopgym.Context`][].

    **Attributes:**

    - `optimizer`, `opt_state`: the optimizer, in double precision, and its state.
    - `current`, `best`: the last structure, and the one of lowest energy. The energy is
      infinite before the first evaluation, and after a failed one.
    - `steps`: number of steps after the first evaluation, including failed ones.
    - `evaluations`, `failures`: number of evaluations, and of those that failed.
    - `failures_in_a_row`: since the last one that did not.
    - `faults`: non-finite components of steps, which were replaced by zero.
    """

    def __init__(
        self,
        optimizer: Any,
        positions: Float[np.ndarray, "atoms 3"],
        key: PRNGKeyArray,
        context: Context,
    ):
        positions = np.array(positions, float)
        self.context = context
        self.optimizer = to_float64(optimizer)
        with jax.enable_x64(True):
            self.opt_state = _init(
                self.optimizer, jnp.asarray(positions), key, self.context
            )
        self.current = self.best = Evaluation(
            positions, np.asarray(np.inf), np.zeros_like(positions)
        )
        self.steps = self.evaluations = self.faults = 0
        self.failures = self.failures_in_a_row = 0
        self._pending: tuple[Float[np.ndarray, "atoms 3"], PyTree, int] | None = None

    @property
    def has_begun(self) -> bool:
        """Whether the start has been evaluated."""
        return self.evaluations > 0

    def propose(self) -> Float[np.ndarray, "atoms 3"]:
        """Positions to evaluate next: those of the start, then those of the optimizer.

        **Raises:** `ValueError` if its displacement has the wrong shape.
        """
        if not self.has_begun:
            return np.asarray(self.current.positions)
        if self._pending is None:
            with jax.enable_x64(True):
                displacement, opt_state = _update(
                    self.optimizer, self.current, self.opt_state, self.context
                )
            displacement = np.asarray(displacement)
            positions = np.asarray(self.current.positions)
            if displacement.shape != positions.shape:
                raise ValueError(
                    f"{type(self.optimizer).__name__}.update must return a displacement"
                    f" of shape {positions.shape}, got {displacement.shape}"
                )
            finite = np.isfinite(displacement)
            proposal = positions + np.where(finite, displacement, 0)
            self._pending = proposal, opt_state, int(np.sum(~finite))
        return self._pending[0]

    def accept(self, evaluated: Evaluation) -> None:
        """Go on from the structure that was evaluated."""
        self._advance(evaluated)
        self.failures_in_a_row = 0
        if evaluated.energy < self.best.energy:
            self.best = evaluated

    def fail(self, positions: Float[np.ndarray, "atoms 3"]) -> None:
        """Go on although the evaluation at these positions failed."""
        nothing = np.zeros_like(positions)
        self._advance(Evaluation(positions, np.asarray(np.inf), nothing))
        self.failures += 1
        self.failures_in_a_row += 1

    def _advance(self, evaluated: Evaluation) -> None:
        # For a structure that has not moved, calculators return cached results.
        moved = np.any(evaluated.positions != self.current.positions)
        known = np.isfinite(self.current.energy) and np.isfinite(evaluated.energy)
        if self._pending is not None:
            _, self.opt_state, faults = self._pending
            self.faults += faults
            self.steps += 1
            self._pending = None
        self.evaluations += int(moved or not known)
        self.current = evaluated

    def arrays(self) -> PyTree:
        """State of the optimizer, last and best structure, for a checkpoint."""
        return self.opt_state, self.current, self.best

    def counts(self) -> tuple[int, int, int, int]:
        """The other part of a checkpoint: steps, evaluations, faults and failures."""
        return self.steps, self.evaluations, self.faults, self.failures

    def restore(self, arrays: PyTree, counts: tuple[int, int, int, int]) -> None:
        """Restore what `arrays` and `counts` returned."""
        self.opt_state, self.current, self.best = arrays
        self.steps, self.evaluations, self.faults, self.failures = counts
        self._pending = None


@eqx.filter_jit
def _init(optimizer, positions, key, context):
    return optimizer.init(positions, key=key, context=context)


@eqx.filter_jit
def _update(
    optimizer, current: Evaluation, opt_state, context
) -> tuple[Float[Array, "..."], PyTree]:
    return optimizer.update(
        current.gradient,
        opt_state,
        current.positions,
        value=current.energy,
        context=context,
    )
