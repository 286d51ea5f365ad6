"""The environment: pure functions of a state, one evaluation per step."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from hopgym import native
from hopgym._converters import to_float
from hopgym.context import Context
from hopgym.potentials.base import POSITION_LIMIT
from hopgym.systems import System

# A search has met the reference minimum when an evaluated energy is within this margin
# of it, in energy units (or within the system's tolerance if that is larger): a
# structure in the right basin is not fully relaxed when it is first evaluated.
ENCOUNTER_MARGIN = 0.01

# Fields of the state that change once a structure has been evaluated.
RECORDS = ("best_positions", "best_energy", "first_hit", "step", "evaluations")


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

    **Raises:** `ValueError` for anything else, such as a name.
    """

    system: System

    def __check_init__(self):
        if not isinstance(self.system, System):
            raise ValueError(
                'an environment needs a system, such as hopgym.get_system("LJ-13"), '
                f"got {self.system!r}"
            )

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

        **Raises:** `ValueError` if `positions` are not real numbers of shape
        `(atoms, 3)`, for anything but one random key, or if JAX's precision has changed
        since the system was made.
        """
        if positions is None:
            positions = self.system.sample(key)
        positions = to_positions(self.system, positions)
        positions, faults = _replace_non_finite(positions)
        energy, gradient = self.system.energy_and_gradient(positions)
        one = jnp.asarray(1, jnp.int32)
        return State(
            positions=positions,
            energy=energy,
            gradient=gradient,
            best_positions=positions,
            best_energy=energy,
            first_hit=jnp.where(energy < self.encounter_level, one, -one),
            step=jnp.zeros_like(one),
            evaluations=one,
            faults=faults,
        )

    def step(self, state: State, update: Float[Array, "..."]) -> State:
        """State after adding `update` to the positions.

        The update is added without any change, except that non-finite components are
        replaced by zero and counted in `faults`.

        **Raises:** `ValueError` if `update` is not of the shape of the positions, for a
        state of another system, or if JAX's precision has changed since the system was
        made.
        """
        self.system.check_precision()
        if (
            not isinstance(state, State)
            or state.positions.shape != (self.system.atoms, 3)
            or state.positions.dtype != self.system.length.dtype
        ):
            found = getattr(state, "positions", None)
            raise ValueError(
                f"{self.system.name}: a state must be one of this environment, with "
                f"positions {(self.system.atoms, 3)} in {self.system.length.dtype}, "
                f"got {getattr(found, 'shape', None)} in "
                f"{getattr(found, 'dtype', None)} (for a batch, use jax.vmap)"
            )
        if jnp.shape(update) != state.positions.shape:
            raise ValueError(
                f"{self.system.name}: an update must have the shape of the positions, "
                f"{state.positions.shape}, got {jnp.shape(update)}"
            )
        positions, faults = native.dispatch(
            _displace_native,
            _displace_jax,
            state.positions,
            state.faults,
            to_float(update),
        )
        energy, gradient = self.system.energy_and_gradient(positions)
        records = native.dispatch(
            _record_native,
            _record_jax,
            {name: getattr(state, name) for name in RECORDS},
            positions,
            energy,
            self.encounter_level,
        )
        return State(
            positions=positions,
            energy=energy,
            gradient=gradient,
            faults=faults,
            **records,
        )

    @property
    def encounter_level(self) -> Float[Array, ""]:
        """Energy below which a search has met the reference minimum.

        Not a number if there is no reference.
        """
        margin = jnp.maximum(
            self.system.tolerance, ENCOUNTER_MARGIN * self.system.energy_unit
        )
        return self.system.reference + margin


def to_positions(system: System, positions: Any) -> Float[Array, "atoms 3"]:
    """Convert positions of one replica to the default floating-point precision.

    **Raises:** `ValueError` if they are not real numbers of shape `(atoms, 3)`.
    """
    shape = (system.atoms, 3)
    if jnp.shape(positions) != shape:
        raise ValueError(
            f"{system.name}: positions must have shape {shape}, got "
            f"{jnp.shape(positions)}"
        )
    if jnp.issubdtype(jnp.result_type(positions), jnp.bool):
        raise ValueError(f"{system.name}: positions must be real numbers, got bool")
    return to_float(positions)


def _replace_non_finite(
    values: Float[Array, "atoms 3"],
) -> tuple[Array, Int[Array, ""]]:
    """Values with zeros for non-finite components, and the number of these."""
    finite = jnp.isfinite(values)
    bounded = jnp.clip(values, -POSITION_LIMIT, POSITION_LIMIT)
    faults = jnp.sum(~finite, dtype=jnp.int32)
    return jnp.where(finite, bounded, 0), faults


def _displace_jax(positions, faults, update):
    """Positions after an update, and the number of its faults so far, in JAX."""
    update, more = _replace_non_finite(update)
    positions = jnp.clip(positions + update, -POSITION_LIMIT, POSITION_LIMIT)
    return positions, faults + more


def _displace_native(positions, faults, update):
    """`_displace_jax` by the C++ kernel (native/environment.inl)."""
    changed = {"positions": positions, "faults": faults}
    found = native.call(
        "displace",
        native.get_shapes(changed),
        operands={"update": update, **changed},
        attributes={"position_limit": POSITION_LIMIT},
        in_place=tuple(changed),
    )
    return found["positions"], found["faults"]


def _record_jax(records, positions, energy, level):
    """Counters and best structure after an evaluation, in JAX."""
    better = energy < records["best_energy"]
    evaluations = records["evaluations"] + 1
    first = (records["first_hit"] < 0) & (energy < level)
    return {
        "best_positions": jnp.where(better, positions, records["best_positions"]),
        "best_energy": jnp.where(better, energy, records["best_energy"]),
        "first_hit": jnp.where(first, evaluations, records["first_hit"]),
        "step": records["step"] + 1,
        "evaluations": evaluations,
    }


def _record_native(records, positions, energy, level):
    """`_record_jax` by the C++ kernel (native/environment.inl)."""
    changed = {name: records[name] for name in RECORDS}
    return native.call(
        "record",
        native.get_shapes(changed),
        operands={"positions": positions, "energy": energy, "level": level, **changed},
        in_place=RECORDS,
    )


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
