"""What an agent sees of an environment and what it is rewarded for.

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

REWARDS = ("best", "energy")
STEP_LIMIT = 50_000
ENTRIES = ("positions", "gradient", "energy", "step", "species")

# Energy above the lowest known one at which a height is 1/2, by the energy scale. A
# random start lies about 10 of these above (height 0.9), a first quench of 13 to 75
# atoms a half to one (height 0.3 to 0.5): descent and search are worth about the same.
HALF_HEIGHT = 0.1

# Reduced gradients are limited to this before their asinh, which is then below 20.
GRADIENT_LIMIT = 1e8
GRADIENT_BOUND = 20.0


class Task(eqx.Module):
    """A search as a Markov decision process.

    **Action:** `Float[Array, "atoms 3"]` or flat, components in [-1, 1] (others are
    clipped); times `max_displacement` it is what is added to the positions, in units
    of the system's length.

    **Observation:** float32, everything bounded and in reduced units:

    - `positions` `(atoms, 3)`: about the centroid, clipped to 2 N^(1/3), four radii of
      a compact cluster; in a periodic box wrapped about its centre;
    - `gradient` `(atoms, 3)`: asinh(gradient x length / energy unit), within 20;
    - `energy` `(1,)`: its height h(E), see below;
    - `step` `(1,)`: fraction of the horizon that has passed;
    - `species` `(atoms,)`: evenly spaced in [-1, 1], 0 if there is one only.

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

    **Arguments:**

    - `environment`: a [`hopgym.Environment`][].
    - `max_displacement`: largest component of a displacement, in units of the
      system's length.
    - `horizon`: the steps that an agent expects; at that step the observed fraction
      is 1.
    - `step_limit`: an episode is truncated at that step; by default the horizon.
    - `terminate_on_success`: whether an episode ends at the reference minimum.
    - `reward`: `"best"` or `"energy"`.

    **Raises:** `ValueError` for arguments that make no sense, or if the episode is to
    end at a reference minimum and none is known.
    """

    environment: Environment
    max_displacement: Float[Array, ""]
    horizon: Int[Array, ""]
    step_limit: Int[Array, ""]
    terminate_on_success: Bool[Array, ""]
    position_bound: Float32[Array, "3"]
    reward_kind: str = eqx.field(static=True)

    def __init__(
        self,
        environment: Environment,
        *,
        max_displacement: float = 0.1,
        horizon: int = STEP_LIMIT,
        step_limit: int | None = None,
        terminate_on_success: bool = False,
        reward: str = "best",
    ):
        system = environment.system
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
        if reward not in REWARDS:
            raise ValueError(f"reward must be one of {REWARDS}, got {reward!r}")
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
        self.reward_kind = reward

    def reset(
        self, key: PRNGKeyArray, positions: Float[Array, "atoms 3"] | None = None
    ) -> State:
        """See [`hopgym.Environment.reset`][]."""
        return self.environment.reset(key, positions)

    def step(self, state: State, action: Float[Array, "..."]) -> State:
        """The state after an action of shape `(atoms, 3)` or `(3 * atoms,)`.

        Components that are not finite count as zero and are counted in `faults`.
        """
        action = jnp.asarray(action, state.positions.dtype).reshape(-1, 3)
        clipped = jnp.where(jnp.isfinite(action), jnp.clip(action, -1, 1), action)
        unit = self.max_displacement * self.environment.system.length
        return self.environment.step(state, clipped * unit)

    def height(self, energy: Float[Array, "..."]) -> Float[Array, "..."]:
        """The bounded transform h(E) of an energy."""
        scale = self.environment.system.energy_scale
        gap = energy + scale
        height = gap / (HALF_HEIGHT * scale + jnp.abs(gap))
        return jnp.where(jnp.isfinite(gap), height, 1)

    def reward(self, before: State, after: State) -> Float[Array, ""]:
        """Reward of the step that led from `before` to `after`."""
        if self.reward_kind == "best":
            return self.height(before.best_energy) - self.height(after.best_energy)
        return self.height(before.energy) - self.height(after.energy)

    def success(self, state: State) -> Bool[Array, ""]:
        """Whether the best energy is the reference minimum, within its tolerance."""
        return self.environment.system.is_hit(state.best_energy)

    def terminated(self, state: State) -> Bool[Array, ""]:
        """Whether the episode ends because the minimum is found."""
        return self.terminate_on_success & self.success(state)

    def truncated(self, state: State) -> Bool[Array, ""]:
        """Whether the episode ends because its steps are used up."""
        return state.step >= self.step_limit

    def observe(self, state: State) -> dict[str, Float32[Array, "..."]]:
        """The observation by name; it lies within `bounds` whatever the state is."""
        system = self.environment.system
        if system.box is None:
            positions = state.positions - jnp.mean(state.positions, axis=0)
        else:
            cells = jnp.floor(state.positions / system.box)
            positions = state.positions - (cells + 0.5) * system.box
        gradient = state.gradient * (system.length / system.energy_unit)
        gradient = jnp.clip(gradient, -GRADIENT_LIMIT, GRADIENT_LIMIT)
        kinds = len(system.elements)
        species = 2 * system.species - (kinds - 1)
        bound = self.position_bound
        return {
            "positions": _bounded(positions / system.length, bound),
            "gradient": _bounded(jnp.arcsinh(gradient), GRADIENT_BOUND),
            "energy": _bounded(self.height(state.energy)[None], 1.0),
            "step": _bounded((state.step / self.horizon)[None], 1.0),
            "species": _bounded(species / max(kinds - 1, 1), 1.0),
        }

    def bounds(self) -> dict[str, Float32[np.ndarray, "..."]]:
        """Largest absolute values of the entries of an observation."""
        atoms = self.environment.system.atoms
        return {
            "positions": np.tile(np.asarray(self.position_bound), (atoms, 1)),
            "gradient": np.full((atoms, 3), GRADIENT_BOUND, np.float32),
            "energy": np.ones(1, np.float32),
            "step": np.ones(1, np.float32),
            "species": np.ones(atoms, np.float32),
        }

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


def flat(observation: dict[str, Float32[Array, "..."]]) -> Float32[Array, " features"]:
    """An observation as one vector of 7 N + 2 numbers, in the order of `ENTRIES`."""
    return jnp.concatenate([observation[name].reshape(-1) for name in ENTRIES])


def _bounded(values: Array, bound: float | Array) -> Float32[Array, "..."]:
    single = jnp.nan_to_num(values.astype(jnp.float32))
    return jnp.clip(single, -bound, bound)
