"""What an agent does in an environment, what it sees and what it is rewarded for.

Pure functions between [`hopgym.Environment`][] and the interfaces of reinforcement
learning: everything here can be jitted and vmapped, so that an interface is a thin
shell.
"""

from __future__ import annotations

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int, PRNGKeyArray

from hopgym.environment import Environment, State
from hopgym.optimizers.lbfgs import LBFGS
from hopgym.rl.hops import hop, settle
from hopgym.rl.observations import ENTRIES as ENTRIES
from hopgym.rl.observations import (
    GRADIENT_BOUND,
    OBSERVATIONS,
    bounded,
    nearest,
    neighbour_bounds,
    placed,
    reduced_gradient,
    species_scale,
    turning,
)
from hopgym.rl.observations import flat as flat
from hopgym.rl.rewards import REWARDS, decades, height

STEP_LIMIT = 50_000
REACH = {"step": 0.1, "hop": 0.4}  # largest displacements if none are given


class Task(eqx.Module):
    """A search as a Markov decision process.

    **Action:** `Float[Array, "atoms 3"]` or flat, components in [-1, 1] (others are
    clipped); times `max_displacement` it is what is added to the positions, in units
    of the system's length. For `action="step"`, as in the paper, that is all: one
    step costs one evaluation. For `action="hop"` an L-BFGS quench follows, and one
    before the first step: the states of an episode are minima, a step is one move of
    basin hopping, and costs some tens to hundreds of evaluations, all of them counted.
    What is left to learn is where to hop. Where many hop at once (`jax.vmap`), a step
    lasts as long as the longest quench.

    **Observation:** float32, everything bounded and in reduced units. For `"flat"`
    and `"dict"`:

    - `positions` `(atoms, 3)`: about the centroid, clipped to 2 N^(1/3), four radii of
      a compact cluster; in a periodic box wrapped about its centre;
    - `gradient` `(atoms, 3)`: asinh(gradient x length / energy unit), within 20;
    - `energy` `(1,)`: its height h(E), see below;
    - `step` `(1,)`: fraction of the horizon that has passed;
    - `species` `(atoms,)`: evenly spaced in [-1, 1], 0 if there is one only.

    For `"neighbours"`, a vector as well, positions give way to

    - `neighbours` `(atoms, k, 3)`: from each atom to its k nearest ones, nearest
      first, in a periodic box to their nearest images; shortened to 5 if longer. k is
      `neighbours`, or the number of other atoms if that is less;
    - `kinds` `(atoms, k)`: their species, if there is more than one in the system;

    and of each atom's gradient the length is transformed, not the components. These
    do not change when the cluster is moved, turn with it, and those of an atom do not
    depend on the numbering of the others (but where distances are equal).

    **Reward:** decrease of the height of the best energy so far, or of the present
    energy. The height is a monotone, bounded transform of the energy,

        h(E) = g / (c + |g|),   g = E + energy_scale,   c = 0.1 energy_scale.

    It is 0 at the lowest known energy, 1/2 at a gap of c, and tends to 1 for a random
    start or an overlap of atoms however large its energy. Its slope grows towards the
    minimum, where a little energy separates very different structures. The rewards
    of an episode that begins high and ends in the lowest known minimum add up to
    about 1. For `reward="best"` no step is rewarded that does not lead below all
    before, hence no overlap; that is rare for an agent that does not descend yet, so
    `reward="energy"`, which rewards and punishes every step, is easier to begin with.
    `reward="log"` is as `"best"`, with l(E) = log(1 + g / d) / log(1 + scale / d),
    d = 0.001 energy_scale, in place of the height: every decade of the gap is worth
    the same, so the last of it is not lost among differences of descents.
    `reward="final"` is 1 - h(best energy) at the step that ends the episode, and 0
    before: nothing but what is found counts, and the agent has to find out why.

    **Arguments:**

    - `environment`: a [`hopgym.Environment`][].
    - `max_displacement`: largest component of a displacement, in units of the
      system's length; by default 0.1, for hops 0.4. An agent that explores by noise
      learns to descend sooner with 0.05: smaller noise does less harm.
    - `horizon`: the steps that an agent expects; at that step the observed fraction
      is 1.
    - `step_limit`: an episode is truncated at that step; by default the horizon.
    - `terminate_on_success`: whether an episode ends at the reference minimum.
    - `reward`: `"best"`, `"energy"`, `"log"` or `"final"`.
    - `action`: `"step"` or `"hop"`.
    - `observation`: `"flat"`, `"dict"` or `"neighbours"`.
    - `neighbours`: how many of them are seen.
    - `quench_steps`: evaluations at which a hop ends, at rest or not.

    **Raises:** `ValueError` for arguments that make no sense, or if the episode is to
    end at a reference minimum and none is known.
    """

    environment: Environment
    max_displacement: Float[Array, ""]
    horizon: Int[Array, ""]
    step_limit: Int[Array, ""]
    terminate_on_success: Bool[Array, ""]
    position_bound: Float32[Array, "3"]
    quench: LBFGS | None
    quench_steps: Int[Array, ""]
    reward_kind: str = eqx.field(static=True)
    observation_kind: str = eqx.field(static=True)
    neighbours: int = eqx.field(static=True)

    def __init__(
        self,
        environment: Environment,
        *,
        max_displacement: float | None = None,
        horizon: int = STEP_LIMIT,
        step_limit: int | None = None,
        terminate_on_success: bool = False,
        reward: str = "best",
        action: str = "step",
        observation: str = "dict",
        neighbours: int = 12,
        quench_steps: int = 500,
    ):
        system = environment.system
        for what, value, known in (
            ("reward", reward, REWARDS),
            ("action", action, tuple(REACH)),
            ("observation", observation, OBSERVATIONS),
        ):
            if value not in known:
                raise ValueError(f"{what} must be one of {known}, got {value!r}")
        if max_displacement is None:
            max_displacement = REACH[action]
        if not (math.isfinite(max_displacement) and max_displacement > 0):
            raise ValueError(
                f"max_displacement must be positive, got {max_displacement}"
            )
        step_limit = horizon if step_limit is None else step_limit
        if horizon < 1 or step_limit < 1:
            raise ValueError(
                "an episode needs at least one step, got "
                f"horizon={horizon}, step_limit={step_limit}"
            )
        if neighbours < 1 or quench_steps < 1:
            raise ValueError(
                "neighbours and quench_steps must be at least 1, got "
                f"neighbours={neighbours}, quench_steps={quench_steps}"
            )
        if terminate_on_success and not system.has_reference:
            raise ValueError(
                f"{system.name}: no reference minimum is known, so an episode cannot "
                "end there; use terminate_on_success=False"
            )
        self.environment = environment
        self.max_displacement = jnp.asarray(max_displacement, float)
        self.horizon = jnp.asarray(horizon, jnp.int32)
        self.step_limit = jnp.asarray(step_limit, jnp.int32)
        self.terminate_on_success = jnp.asarray(terminate_on_success, bool)
        self.position_bound = (
            jnp.full(3, 2 * system.atoms ** (1 / 3), jnp.float32)
            if system.box is None
            else (system.box / (2 * system.length)).astype(jnp.float32)
        )
        self.quench = LBFGS() if action == "hop" else None
        self.quench_steps = jnp.asarray(quench_steps, jnp.int32)
        self.reward_kind = reward
        self.observation_kind = observation
        self.neighbours = min(neighbours, system.atoms - 1)

    def reset(
        self, key: PRNGKeyArray, positions: Float[Array, "atoms 3"] | None = None
    ) -> State:
        """See [`hopgym.Environment.reset`][]; for hops the start is quenched."""
        state = self.environment.reset(key, positions)
        if self.quench is None:
            return state
        return settle(self.environment, self.quench, state, self.quench_steps)

    def step(self, state: State, action: Float[Array, "..."]) -> State:
        """The state after an action of shape `(atoms, 3)` or `(3 * atoms,)`.

        Components that are not finite count as zero and are counted in `faults`.
        """
        action = jnp.asarray(action, state.positions.dtype).reshape(-1, 3)
        clipped = jnp.where(jnp.isfinite(action), jnp.clip(action, -1, 1), action)
        update = clipped * (self.max_displacement * self.environment.system.length)
        if self.quench is None:
            return self.environment.step(state, update)
        return hop(self.environment, self.quench, state, update, self.quench_steps)

    def height(self, energy: Float[Array, "..."]) -> Float[Array, "..."]:
        """The bounded transform h(E) of an energy."""
        return height(energy, self.environment.system.energy_scale)

    def reward(self, before: State, after: State) -> Float[Array, ""]:
        """Reward of the step that led from `before` to `after`."""
        if self.reward_kind == "final":
            ended = self.terminated(after) | self.truncated(after)
            return jnp.where(ended, 1 - self.height(after.best_energy), 0)
        if self.reward_kind == "energy":
            return self.height(before.energy) - self.height(after.energy)
        if self.reward_kind == "log":
            scale = self.environment.system.energy_scale
            return decades(before.best_energy, scale) - decades(
                after.best_energy, scale
            )
        return self.height(before.best_energy) - self.height(after.best_energy)

    def success(self, state: State) -> Bool[Array, ""]:
        """Whether the best energy is the reference minimum, within its tolerance."""
        return self.environment.system.is_hit(state.best_energy)

    def terminated(self, state: State) -> Bool[Array, ""]:
        """Whether the episode ends because the minimum is found."""
        return self.terminate_on_success & self.success(state)

    def truncated(self, state: State) -> Bool[Array, ""]:
        """Whether the episode ends because its steps are used up."""
        return state.step >= self.step_limit

    def view(
        self, state: State
    ) -> Float32[Array, " features"] | dict[str, Float32[Array, "..."]]:
        """What an agent gets: the observation by name for `"dict"`, else one vector."""
        seen = self.observe(state)
        return seen if self.observation_kind == "dict" else flat(seen)

    def observe(self, state: State) -> dict[str, Float32[Array, "..."]]:
        """The observation by name; it lies within `bounds` whatever the state is."""
        system = self.environment.system
        gradient = reduced_gradient(state, system)
        species = species_scale(system)
        seen = {
            "energy": bounded(self.height(state.energy)[None], 1.0),
            "step": bounded((state.step / self.horizon)[None], 1.0),
            "species": species,
        }
        if self.observation_kind != "neighbours":
            return seen | {
                "positions": bounded(placed(state, system), self.position_bound),
                "gradient": bounded(jnp.arcsinh(gradient), GRADIENT_BOUND),
            }
        vectors, which = nearest(state, system, self.neighbours)
        seen |= {"neighbours": vectors, "gradient": turning(gradient)}
        return seen | ({"kinds": species[which]} if len(system.elements) > 1 else {})

    def bounds(self) -> dict[str, Float32[np.ndarray, "..."]]:
        """Largest absolute values of the entries of an observation."""
        system = self.environment.system
        bounds = {
            "gradient": np.full((system.atoms, 3), GRADIENT_BOUND, np.float32),
            "energy": np.ones(1, np.float32),
            "step": np.ones(1, np.float32),
            "species": np.ones(system.atoms, np.float32),
        }
        if self.observation_kind == "neighbours":
            return bounds | neighbour_bounds(system, self.neighbours)
        positions = np.tile(np.asarray(self.position_bound), (system.atoms, 1))
        return {"positions": positions} | bounds

    def info(self, state: State) -> dict[str, Array]:
        """What is reported beside an observation, in the potential's units."""
        return {
            "energy": state.energy,
            "best_energy": state.best_energy,
            "success": self.success(state),
            "first_hit": state.first_hit,
            "step": state.step,
            "evaluations": state.evaluations,
            "faults": state.faults,
        }
