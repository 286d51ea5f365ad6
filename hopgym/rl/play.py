"""Evaluation of a policy."""

from __future__ import annotations

from collections.abc import Callable

import jax
from jaxtyping import Array, Float, Float32, PRNGKeyArray

from hopgym._batching import choose_tree
from hopgym.environment import State
from hopgym.rl.gymnax import Parameters


def play(
    params: Parameters,
    act: Callable[[Float32[Array, " features"], PRNGKeyArray], Float[Array, "..."]],
    key: PRNGKeyArray,
) -> State:
    """Run one episode of a policy from each start, and return the final states.

    Their `best_energy`, `first_hit` and `evaluations` tell what was found and at what
    cost. Can be jitted and called during training; for starts that the agent has not
    seen, pass the `default_params` of an environment with another `seed`.

    **Arguments:**

    - `params`: parameters of a [`hopgym.rl.GymnaxEnvironment`][] with `starts`.
    - `act`: the policy, `act(observation, key) -> action`.
    - `key`: random key of the policy.

    **Raises:** `ValueError` if `params` are no parameters, or have no starts.
    """
    if not isinstance(params, Parameters):
        raise ValueError(
            "play needs the default_params of an environment, got an object of type "
            f"{type(params).__name__}"
        )
    if params.starts is None:
        raise ValueError("play needs an environment with starts > 0")
    mdp = params.mdp

    def move(state, key):
        after = mdp.step(state, act(mdp.observe_vector(state), key))
        ended = mdp.is_terminated(state) | mdp.is_truncated(state)
        return choose_tree(ended, state, after)

    def move_all(number, states):
        keys = jax.random.split(jax.random.fold_in(key, number), states.energy.shape[0])
        return jax.vmap(move)(states, keys)

    return jax.lax.fori_loop(0, mdp.step_limit, move_all, params.starts)
