"""Many starts of an optimizer that can be interrupted and gone on with."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from hopgym.environment import Environment, State
from hopgym.rollout import check_optimizer, programs
from hopgym.systems import System


class Walk:
    """The starts of [`hopgym.rollout`][] with the same key, a piece at a time.

    **Arguments:**

    - `system`, `optimizer`: what is minimised, and by what.
    - `seed`: of the key.
    - `starts`: their number.
    """

    def __init__(self, system: System, optimizer: Any, seed: int, starts: int):
        environment = Environment(system)
        check_optimizer(environment, optimizer)
        devices = jax.devices()[:starts]
        self.starts = starts
        self._padded = -(-starts // len(devices)) * len(devices)
        self._model, static = eqx.partition((environment, optimizer), eqx.is_array)
        begin, self._advance = programs(static, devices)
        index = jnp.arange(self._padded, dtype=jnp.int32)
        self._carry = begin(self._model, jax.random.key(seed), index, None)

    def advance(self, steps: int) -> State:
        """The states after so many more steps.

        Their best structures are the lowest of these steps, not of all before.
        """
        state, opt_state = self._carry
        # What is added is infinite: the next structure is the best in any case.
        state = eqx.tree_at(lambda s: s.best_energy, state, state.best_energy + jnp.inf)
        self._carry = self._advance(self._model, (state, opt_state), jnp.int32(steps))
        return jax.tree.map(np.asarray, self._cropped(self._carry[0]))

    def arrays(self) -> PyTree:
        """All that the next step needs, for a file; the same on any number of cores."""
        return self._cropped(self._carry)

    def restore(self, arrays: PyTree) -> None:
        """Become what gave these arrays."""
        rows = np.arange(self._padded) % self.starts
        self._carry = jax.tree.map(lambda leaf: jnp.asarray(leaf)[rows], arrays)

    def _cropped(self, tree: PyTree) -> PyTree:
        return jax.tree.map(lambda leaf: leaf[: self.starts], tree)
