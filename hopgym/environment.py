"""The environment: pure functions of a state, one evaluation a step."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from hopgym.context import Context
from hopgym.potentials.base import POSITION_LIMIT
from hopgym.systems import System

# A search has met the minimum when the energy of an evaluation is this close to the
# reference, in energy units (or within the system's tolerance if that is more): a
# structure in the right basin has not relaxed completely when it is first seen.
ENCOUNTER_MARGIN = 0.01


class State(eqx.Module):
    """State of one replica, and its ledger.

    **Attributes:**

    - `positions`, `energy`, `gradient`: the present structure.
    - `best_positions`, `best_energy`: the lowest structure evaluated so far.
    - `first_hit`: number of evaluations when the reference minimum was first met
      (within `ENCOUNTER_MARGIN`), or -1.
    - `step`: steps since the reset.
    - `evaluations`: energy+gradient evaluations, the reset's included.
    - `faults`: components of updates that were not finite and counted as zero.
    """

    positions: Float[Array, "*batch atoms 3"]
    energy: Float[Array, "*batch"]
    gradient: Float[Array, "*batch atoms 3"]
    best_positions: Float[Array, "*batch atoms 3"]
    best_energy: Float[Array, "*batch"]
    first_hit: Int[Array, "*batch"]
    step: Int[Array, "*batch"]
    evaluations: Int[Array, "*batch"]
    faults: Int[Array, "*batch"]


class Environment(eqx.Module):
    """Minimisation of a system's energy, one displacement at a time.

    Pure: `reset` and `step` can be jitted, vmapped, scanned and sharded. A reset and
    a step cost one evaluation each.

    ```python
    environment = hopgym.Environment(hopgym.get_system("LJ-13"))
    state = environment.reset(jax.random.key(0))
    state = environment.step(state, -1e-3 * state.gradient)
    ```

    **Arguments:**

    - `system`: a [`hopgym.System`][].
    """

    system: System

    @property
    def context(self) -> Context:
        """What optimizers are told about the system."""
        return Context(
            species=self.system.species,
            box=self.system.box,
            length=self.system.length,
            energy_unit=self.system.energy_unit,
        )

    def reset(
        self, key: PRNGKeyArray, positions: Float[Array, "..."] | None = None
    ) -> State:
        """A fresh state at a random start, or at `positions`.

        **Raises:** `ValueError` if `positions` has another shape.
        """
        if positions is None:
            positions = self.system.sample(key)
        shape = (self.system.atoms, 3)
        if jnp.shape(positions) != shape:
            raise ValueError(
                f"{self.system.name}: positions must have shape {shape}, got "
                f"{jnp.shape(positions)}"
            )
        positions = jnp.asarray(positions, float)
        positions, faults = self._finite(positions)
        energy, gradient = self.system.energy_and_gradient(positions)
        one = jnp.asarray(1, jnp.int32)
        return State(
            positions=positions,
            energy=energy,
            gradient=gradient,
            best_positions=positions,
            best_energy=energy,
            first_hit=jnp.where(self._encountered(energy), one, -one),
            step=jnp.zeros_like(one),
            evaluations=one,
            faults=faults,
        )

    def step(self, state: State, update: Float[Array, "..."]) -> State:
        """The state after adding `update` to the positions.

        The update is added exactly. Components that are not finite count as zero and
        are counted in `faults`.

        **Raises:** `ValueError` if `update` has another shape than the positions.
        """
        if jnp.shape(update) != state.positions.shape:
            raise ValueError(
                f"{self.system.name}: an update must have the shape of the positions, "
                f"{state.positions.shape}, got {jnp.shape(update)}"
            )
        update, faults = self._finite(jnp.asarray(update, state.positions.dtype))
        positions = jnp.clip(state.positions + update, -POSITION_LIMIT, POSITION_LIMIT)
        energy, gradient = self.system.energy_and_gradient(positions)
        better = energy < state.best_energy
        evaluations = state.evaluations + 1
        first = (state.first_hit < 0) & self._encountered(energy)
        return State(
            positions=positions,
            energy=energy,
            gradient=gradient,
            best_positions=jnp.where(better, positions, state.best_positions),
            best_energy=jnp.where(better, energy, state.best_energy),
            first_hit=jnp.where(first, evaluations, state.first_hit),
            step=state.step + 1,
            evaluations=evaluations,
            faults=state.faults + faults,
        )

    def _encountered(self, energy: Float[Array, ""]) -> Array:
        margin = jnp.maximum(
            self.system.tolerance, ENCOUNTER_MARGIN * self.system.energy_unit
        )
        return energy < self.system.reference + margin

    @staticmethod
    def _finite(values: Float[Array, "atoms 3"]) -> tuple[Array, Int[Array, ""]]:
        finite = jnp.isfinite(values)
        bounded = jnp.clip(values, -POSITION_LIMIT, POSITION_LIMIT)
        faults = jnp.sum(~finite, dtype=jnp.int32)
        return jnp.where(finite, bounded, 0), faults


def take_step(
    environment: Environment, optimizer: Any, state: State, opt_state: Any
) -> tuple[State, Any]:
    """One update of an optimizer, and the step it makes: one evaluation.

    **Arguments:**

    - `optimizer`, `opt_state`: the policy, and its state.
    - `state`: where the environment is.
    """
    update, opt_state = optimizer.update(
        state.gradient,
        opt_state,
        state.positions,
        value=state.energy,
        context=environment.context,
    )
    return environment.step(state, update), opt_state
