"""The compiled functions behind `reset` and `step`.

Random starts come from a sequence of seeds (two 32-bit words): each seed yields one
start and the next seed.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.vector import AutoresetMode
from jaxtyping import Array

from hopgym._batching import masked_map
from hopgym.environment import State
from hopgym.gymnasium._partition import StaticMDP
from hopgym.rl.mdp import MDP

VALID, NOT_FINITE, EPISODE_OVER = 0, 1, 2  # status of the actions of a step


@functools.cache
def compile_shared(function, *static):
    """Bind the first arguments of `function` and jit it, once for all environments."""
    return jax.jit(functools.partial(function, *static))


def draw_seed(generator: np.random.Generator) -> np.ndarray:
    """Draw the first seed of a sequence of starts."""
    return generator.integers(2**32, size=2, dtype=np.uint32)


def _start(mdp: MDP, seed: Array, positions: Array | None) -> tuple[Array, State]:
    """Next seed, and first state of the episode that belongs to `seed`."""
    key = jax.random.fold_in(jax.random.key(seed[0]), seed[1])
    onward, now = jax.random.split(key)
    return jax.random.bits(onward, (2,), jnp.uint32), mdp.reset(now, positions)


def reset_one(static: StaticMDP, arrays, seed, positions):
    """Reset one replica: returns the next seed, the state and the outputs."""
    mdp = static.combine(arrays)
    seed, state = _start(mdp, seed, positions)
    false = jnp.zeros((), bool)
    zero = jnp.zeros_like(state.energy)
    return seed, state, static.collect_outputs(mdp, state, zero, false, false)


def step_one(static: StaticMDP, arrays, state: State, action):
    """Step one replica: returns the state, the outputs and the status."""
    mdp = static.combine(arrays)
    after = mdp.step(state, action)
    outputs = static.collect_outputs(
        mdp,
        after,
        mdp.compute_reward(state, after),
        mdp.is_terminated(after),
        mdp.is_truncated(after),
    )
    return after, outputs, jnp.where(jnp.all(jnp.isfinite(action)), VALID, NOT_FINITE)


def reset_batch(
    static: StaticMDP, arrays, seeds, states: State | None, mask, positions
):
    """Reset all replicas, or those in the mask if `states` are given."""
    mdp = static.combine(arrays)
    if states is not None and positions is None:
        seeds, now = _restart(mdp, seeds, states, mask)
    else:
        after, now = jax.vmap(functools.partial(_start, mdp))(seeds, positions)
        if states is not None:
            now = jax.tree.map(functools.partial(_select, mask), now, states)
            after = _select(mask, after, seeds)
        seeds = after
    ended = jnp.zeros_like(mask)
    zero = jnp.zeros_like(now.energy)
    outputs = jax.vmap(functools.partial(static.collect_outputs, mdp))
    return seeds, now, outputs(now, zero, ended, ended)


def step_batch(
    static: StaticMDP, mode: AutoresetMode, arrays, seeds, states: State, ended, actions
):
    """Step all replicas, with the resets of the autoreset mode.

    `ended` marks the replicas whose episode ended in the previous step. Returns the
    next `seeds`, `states` and `ended`, the outputs, the final outputs of ended
    episodes, and the status.
    """
    mdp = static.combine(arrays)
    after = jax.vmap(mdp.step)(states, actions)
    reward = jax.vmap(mdp.compute_reward)(states, after)
    terminated = jax.vmap(mdp.is_terminated)(after)
    truncated = jax.vmap(mdp.is_truncated)(after)
    finite = jnp.all(jnp.isfinite(actions), axis=-1)
    outputs = jax.vmap(functools.partial(static.collect_outputs, mdp))
    final = None
    if mode == AutoresetMode.NEXT_STEP:
        seeds, now = _restart(mdp, seeds, after, ended)
        reward = jnp.where(ended, 0, reward)
        terminated, truncated = terminated & ~ended, truncated & ~ended
        status = jnp.where(jnp.all(finite | ended), VALID, NOT_FINITE)
    else:
        now = after
        status = jnp.where(jnp.all(finite), VALID, NOT_FINITE)
        if mode == AutoresetMode.SAME_STEP:
            seeds, now = _restart(mdp, seeds, after, terminated | truncated)
            final = outputs(after, reward, terminated, truncated)
        else:
            status = jnp.where(jnp.any(ended), EPISODE_OVER, status)
    results = outputs(now, reward, terminated, truncated)
    return seeds, now, terminated | truncated, results, final, status


def _restart(mdp: MDP, seeds, states: State, mask) -> tuple[Array, State]:
    """Restart the replicas in the mask; starts are computed for these only."""

    def start(seed_and_state):
        return _start(mdp, seed_and_state[0], positions=None)

    return masked_map(mask, start, (seeds, states))


def _select(mask, new, old):
    return jnp.where(mask.reshape((-1,) + (1,) * (new.ndim - 1)), new, old)
