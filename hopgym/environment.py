"""The environment: pure functions of a state, one evaluation per step."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from hopgym.context import Context
from hopgym.potentials.base import POSITION_LIMIT
from hopgym.systems import System

# A search has met the reference minimum when an evaluated energy is within this margin
# of it, in energy units (or within the system's tolerance if that is larger): a
# structure in the right basin is not fully relaxed when it is first evaluated.
ENCOUNTER_MARGIN = 0.01


class State(eqx.Module):
    """State of one replica, with its counters.

    **Attributes:**

    - `positions`, `energy`, `gradient`: the current structure.
    - `best_positions`, `best_energy`: the lowest structure evaluated so far.
    - `first_hit`: number of evaluations when the reference minimum was first met
      (within `ENCOUNTER_MARGIN`), or -1.
    - `step`: steps since the reset.
    - `evaluations`: energy+gradient evaluations, including that of the reset.
    - `faults`: non-finite components of updates, which were replaced by zero.
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

    `reset` and `step` are pure functions that can be jitted, vmapped, scanned and
    sharded. Each costs one evaluation.

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
        """What optimizers know about the system."""
        return Context(
            species=self.system.species,
            box=self.system.box,
            length=self.system.length,
            energy_unit=self.system.energy_unit,
        )

    def reset(
        self, key: PRNGKeyArray, positions: Float[Array, "..."] | None = None
    ) -> State:
        """Initial state, at random positions of the system's start or at `positions`.

        **Raises:** `ValueError` if `positions` is not of shape `(atoms, 3)`.
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
        positions, faults = _replace_non_finite(positions)
        energy, gradient = self.system.energy_and_gradient(positions)
        one = jnp.asarray(1, jnp.int32)
        return State(
            positions=positions,
            energy=energy,
            gradient=gradient,
            best_positions=positions,
            best_energy=energy,
            first_hit=jnp.where(self._is_encounter(energy), one, -one),
            step=jnp.zeros_like(one),
            evaluations=one,
            faults=faults,
        )

    def step(self, state: State, update: Float[Array, "..."]) -> State:
        """State after adding `update` to the positions.

        The update is added without any change, except that non-finite components are
        replaced by zero and counted in `faults`.

        **Raises:** `ValueError` if the shapes of `update` and the positions differ.
        """
        if jnp.shape(update) != state.positions.shape:
            raise ValueError(
                f"{self.system.name}: an update must have the shape of the positions, "
                f"{state.positions.shape}, got {jnp.shape(update)}"
            )
        update = jnp.asarray(update, state.positions.dtype)
        update, faults = _replace_non_finite(update)
        positions = jnp.clip(state.positions + update, -POSITION_LIMIT, POSITION_LIMIT)
        energy, gradient = self.system.energy_and_gradient(positions)
        better = energy < state.best_energy
        evaluations = state.evaluations + 1
        first = (state.first_hit < 0) & self._is_encounter(energy)
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

    def _is_encounter(self, energy: Float[Array, ""]) -> Array:
        margin = jnp.maximum(
            self.system.tolerance, ENCOUNTER_MARGIN * self.system.energy_unit
        )
        return energy < self.system.reference + margin


def _replace_non_finite(
    values: Float[Array, "atoms 3"],
) -> tuple[Array, Int[Array, ""]]:
    """Values with zeros for non-finite components, and the number of these."""
    finite = jnp.isfinite(values)
    bounded = jnp.clip(values, -POSITION_LIMIT, POSITION_LIMIT)
    faults = jnp.sum(~finite, dtype=jnp.int32)
    return jnp.where(finite, bounded, 0), faults


def take_step(
    environment: Environment, optimizer: Any, state: State, opt_state: Any
) -> tuple[State, Any]:
    """One update of an optimizer and one step of the environment: one evaluation.

    **Arguments:**

    - `optimizer`, `opt_state`: the policy and its state.
    - `state`: state of the environment.

    **Returns:** the next states of environment and optimizer.
    """
    update, opt_state = optimizer.update(
        state.gradient,
        opt_state,
        state.positions,
        value=state.energy,
        context=environment.context,
    )
    return environment.step(state, update), opt_state
