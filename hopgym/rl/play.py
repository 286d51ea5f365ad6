"""What an agent finds."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float32, PRNGKeyArray

from hopgym.environment import State
from hopgym.rl.gymnax import Parameters
from hopgym.rl.observations import flat


def play(
    params: Parameters,
    act: Callable[[Float32[Array, " features"], PRNGKeyArray], Float[Array, "..."]],
    key: PRNGKeyArray,
) -> State:
    """The last states of episodes, one from each start.

    `best_energy`, `first_hit` and `evaluations` of these tell what was found, and at
    what cost. Can be jitted, and called while an agent is trained; for starts that it
    has not seen, with the `default_params` of an environment of another `seed`.

    **Arguments:**

    - `params`: of a [`hopgym.rl.GymnaxEnvironment`][] with `starts`.
    - `act`: a policy, `act(observation, key) -> action`.
    - `key`: randomness of the policy.

    **Raises:** `ValueError` if there are no starts in `params`.
    """
    if params.starts is None:
        raise ValueError("play needs an environment with starts > 0")
    task = params.task

    def move(state, key):
        after = task.step(state, act(flat(task.observe(state)), key))
        ended = task.terminated(state) | task.truncated(state)
        return jax.tree.map(lambda old, new: jnp.where(ended, old, new), state, after)

    def once(number, states):
        keys = jax.random.split(jax.random.fold_in(key, number), states.energy.shape[0])
        return jax.vmap(move)(states, keys)

    return jax.lax.fori_loop(0, task.step_limit, once, params.starts)
