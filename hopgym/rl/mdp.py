"""A search as a Markov decision process.

Pure functions that can be jitted and vmapped: the common core of the interfaces for
reinforcement learning.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int, PRNGKeyArray

from hopgym._checks import check_integer, check_precision
from hopgym._suggest import describe_unknown_name
from hopgym.environment import Environment, State
from hopgym.rl._checks import (
    MAX_EVALUATIONS,
    check_bool,
    check_positive,
    flatten_actions,
)
from hopgym.rl.actions import ACTIONS, AbstractAction
from hopgym.rl.observations import OBSERVATIONS, AbstractObservation, flatten
from hopgym.rl.rewards import REWARDS, AbstractReward

STEP_LIMIT = 50_000


class MDP(eqx.Module):
    """A search as a Markov decision process: actions, observations and rewards.

    An action is `Float[Array, "atoms 3"]` or flat, with components in [-1, 1] (others
    are clipped). Times `max_displacement`, it is the displacement of the atoms in units
    of the system's length.

    **Arguments:**

    - `environment`: a [`hopgym.Environment`][].
    - `max_displacement`: largest component of a displacement, in units of the
      system's length; by default 0.1, for hops 0.4. An agent that explores by adding
      noise to its actions learns to descend sooner with 0.05, where noise does less
      harm.
    - `horizon`: expected length of an episode in steps; the step is observed as a
      fraction of it.
    - `step_limit`: step at which an episode is truncated; by default the horizon.
    - `terminate_on_success`: whether an episode ends at the reference minimum.
    - `reward`: `"best"` ([`hopgym.rl.rewards.BestReward`][]), `"energy"`
      ([`hopgym.rl.rewards.EnergyReward`][]), `"log"`
      ([`hopgym.rl.rewards.LogReward`][]), `"final"`
      ([`hopgym.rl.rewards.FinalReward`][]), or another
      [`hopgym.rl.rewards.AbstractReward`][].
    - `action`: `"step"` ([`hopgym.rl.actions.StepAction`][]), `"hop"`
      ([`hopgym.rl.actions.HopAction`][]), or another
      [`hopgym.rl.actions.AbstractAction`][].
    - `observation`: `"flat"` ([`hopgym.rl.observations.FlatObservation`][]), `"dict"`
      ([`hopgym.rl.observations.DictObservation`][]), `"neighbours"`
      ([`hopgym.rl.observations.NeighbourObservation`][]), or another
      [`hopgym.rl.observations.AbstractObservation`][].
    - `neighbours`: number of neighbours in the observation `"neighbours"`.
    - `quench_steps`: maximum number of evaluations per `"hop"`.

    **Raises:** `ValueError` for unknown names and values out of range, and for
    `terminate_on_success` without a known reference minimum.
    """

    environment: Environment
    max_displacement: Float[Array, ""]
    horizon: Int[Array, ""]
    step_limit: Int[Array, ""]
    terminate_on_success: Bool[Array, ""]
    action: AbstractAction
    observation: AbstractObservation
    reward: AbstractReward

    def __init__(
        self,
        environment: Environment,
        *,
        max_displacement: float | None = None,
        horizon: int = STEP_LIMIT,
        step_limit: int | None = None,
        terminate_on_success: bool = False,
        reward: str | AbstractReward = "best",
        action: str | AbstractAction = "step",
        observation: str | AbstractObservation = "dict",
        neighbours: int = 12,
        quench_steps: int = 500,
    ):
        if not isinstance(environment, Environment):
            raise ValueError(
                "environment must be hopgym.Environment(system), got an object of type "
                f"{type(environment).__name__}"
            )
        system = environment.system
        neighbours = check_integer("neighbours", neighbours, 1)
        quench_steps = check_integer("quench_steps", quench_steps, 1, MAX_EVALUATIONS)
        self.reward = _make("reward", reward, AbstractReward, REWARDS)
        self.action = _make("action", action, AbstractAction, ACTIONS, quench_steps)
        self.observation = _make(
            "observation",
            observation,
            AbstractObservation,
            OBSERVATIONS,
            system,
            neighbours,
        )
        if max_displacement is None:
            max_displacement = self.action.default_displacement
        max_displacement = check_positive("max_displacement", max_displacement)
        horizon = check_integer("horizon", horizon, 1)
        step_limit = horizon if step_limit is None else step_limit
        step_limit = check_integer("step_limit", step_limit, 1)
        terminate = check_bool("terminate_on_success", terminate_on_success)
        if terminate and not system.has_reference:
            raise ValueError(
                f"{system.name}: no reference minimum is known, so an episode cannot "
                "end there; use terminate_on_success=False"
            )
        self.environment = environment
        self.max_displacement = jnp.asarray(max_displacement, float)
        self.horizon = jnp.asarray(horizon, jnp.int32)
        self.step_limit = jnp.asarray(step_limit, jnp.int32)
        self.terminate_on_success = jnp.asarray(terminate, bool)

    def reset(
        self, key: PRNGKeyArray, positions: Float[Array, "atoms 3"] | None = None
    ) -> State:
        """First state of an episode; arguments as in [`hopgym.Environment.reset`][].

        **Raises:** `ValueError` as there, and if the precision of JAX was changed after
        system or environment was made.
        """
        self.check_precision()
        state = self.environment.reset(key, positions)
        return self.action.start(self.environment, state)

    def step(self, state: State, action: Float[Array, "..."]) -> State:
        """State after an action of shape `(atoms, 3)` or `(3 * atoms,)`.

        Non-finite components are replaced by zero and counted in `faults`.

        **Raises:** `ValueError` for another shape or type, and if the precision of JAX
        was changed after system, environment or state was made.
        """
        self.check_precision()
        system = self.environment.system
        check_precision("the state", [state.positions])
        flat = flatten_actions(system, action)
        action = jnp.asarray(flat, state.positions.dtype).reshape(-1, 3)
        clipped = jnp.where(jnp.isfinite(action), jnp.clip(action, -1, 1), action)
        update = clipped * (self.max_displacement * system.length)
        return self.action.apply(self.environment, state, update)

    def check_precision(self) -> None:
        """Raise `ValueError` if JAX computes in another precision than this MDP."""
        length = self.environment.system.length
        check_precision("the environment", [length, self.max_displacement])

    def compute_reward(self, before: State, after: State) -> Float[Array, ""]:
        """Reward of the step from `before` to `after`."""
        ended = self.is_terminated(after) | self.is_truncated(after)
        return self.reward.compute(before, after, ended, self.environment.system)

    def is_success(self, state: State) -> Bool[Array, ""]:
        """Whether the best energy is the reference minimum, within its tolerance."""
        return self.environment.system.is_hit(state.best_energy)

    def is_terminated(self, state: State) -> Bool[Array, ""]:
        """Whether the episode ends because the reference minimum was found."""
        return self.terminate_on_success & self.is_success(state)

    def is_truncated(self, state: State) -> Bool[Array, ""]:
        """Whether the episode ends because the step limit is reached."""
        return state.step >= self.step_limit

    def observe(
        self, state: State
    ) -> Float32[Array, " features"] | dict[str, Float32[Array, "..."]]:
        """Observation, by name or as one vector depending on `observation`.

        It lies within `bounds` for every state.
        """
        if self.observation.is_dict:
            return self.observe_entries(state)
        return self.observe_vector(state)

    def observe_entries(self, state: State) -> dict[str, Float32[Array, "..."]]:
        """Entries of the observation by name."""
        system = self.environment.system
        return self.observation.observe(state, system, self.horizon)

    def observe_vector(self, state: State) -> Float32[Array, " features"]:
        """Observation as one vector, with its entries in the order of `bounds`."""
        return flatten(self.observe_entries(state))

    def bounds(self) -> dict[str, Float32[np.ndarray, "..."]]:
        """Largest absolute values of the entries of an observation."""
        return self.observation.bounds(self.environment.system)

    def bound_vector(self) -> Float32[np.ndarray, " features"]:
        """Largest absolute values of an observation as one vector."""
        return np.concatenate([bound.ravel() for bound in self.bounds().values()])

    def info(self, state: State) -> dict[str, Array]:
        """Entries of Gymnasium's `info`, energies in the potential's unit."""
        return {
            "energy": state.energy,
            "best_energy": state.best_energy,
            "success": self.is_success(state),
            "first_hit": state.first_hit,
            "step": state.step,
            "evaluations": state.evaluations,
            "faults": state.faults,
        }


def check_options(shell: type, options: Iterable[str]) -> None:
    """Check the names of options that a class forwards to [`hopgym.rl.MDP`][].

    **Arguments:**

    - `shell`: the class; its own keyword arguments are suggested as well.
    - `options`: the names.

    **Raises:** `TypeError` for a name that is not an option of `MDP`.
    """
    parameters = inspect.signature(MDP.__init__).parameters.values()
    options_of_mdp = {one.name for one in parameters if one.kind is one.KEYWORD_ONLY}
    for name in options:
        if name not in options_of_mdp:
            own = set(inspect.signature(shell).parameters) - {"options"}
            message = describe_unknown_name(
                "option", name, sorted(own | options_of_mdp)
            )
            raise TypeError(f"{shell.__name__}: {message} (see hopgym.rl.MDP)")


def _make(
    option: str,
    value: Any,
    kind: type,
    table: dict[str, Callable[..., Any]],
    *arguments: Any,
) -> Any:
    """Return `value` if it is an instance of `kind`, else make one by name."""
    if isinstance(value, kind):
        return value
    if isinstance(value, str) and value in table:
        return table[value](*arguments)
    raise ValueError(f"{option} must be one of {tuple(table)}, got {value!r}")
