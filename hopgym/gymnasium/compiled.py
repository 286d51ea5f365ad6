"""The compiled functions behind `reset` and `step`."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.vector import AutoresetMode
from jaxtyping import Array

from hopgym._batching import masked_map
from hopgym.environment import State
from hopgym.gymnasium.layout import Layout
from hopgym.rl.mdp import Task

FINE, NOT_FINITE, FINISHED = 0, 1, 2  # what a compiled step found of the actions


@functools.cache
def jitted(function, *static):
    """`function` with its first arguments bound, compiled; one for all that ask."""
    return jax.jit(functools.partial(function, *static))


def new_stream(generator: np.random.Generator) -> np.ndarray:
    """Where a stream of starts begins."""
    return generator.integers(2**32, size=2, dtype=np.uint32)


def _start(task: Task, words: Array, positions: Array | None) -> tuple[Array, State]:
    """The next start of the stream that begins at `words`, and where it goes on."""
    key = jax.random.fold_in(jax.random.key(words[0]), words[1])
    onward, now = jax.random.split(key)
    return jax.random.bits(onward, (2,), jnp.uint32), task.reset(now, positions)


def begin(layout: Layout, arrays, words, positions):
    """A reset of one replica: where the stream goes on, the state, the outputs."""
    task = layout.task(arrays)
    words, state = _start(task, words, positions)
    false = jnp.zeros((), bool)
    zero = jnp.zeros_like(state.energy)
    return words, state, layout.outputs(task, state, zero, false, false)


def advance(layout: Layout, arrays, state: State, action):
    """One step of one replica: the state, the outputs, a code."""
    task = layout.task(arrays)
    after = task.step(state, action)
    outputs = layout.outputs(
        task,
        after,
        task.reward(state, after),
        task.terminated(after),
        task.truncated(after),
    )
    return after, outputs, jnp.where(jnp.all(jnp.isfinite(action)), FINE, NOT_FINITE)


def begin_all(layout: Layout, arrays, words, states: State | None, mask, positions):
    """Begin all replicas anew, or those of the mask if `states` are given."""
    task = layout.task(arrays)
    if states is not None and positions is None:
        words, now = _refresh(task, words, states, mask)
    else:
        after, now = jax.vmap(functools.partial(_start, task))(words, positions)
        if states is not None:
            now = jax.tree.map(functools.partial(_select, mask), now, states)
            after = _select(mask, after, words)
        words = after
    ended = jnp.zeros_like(mask)
    zero = jnp.zeros_like(now.energy)
    outputs = jax.vmap(functools.partial(layout.outputs, task))
    return words, now, outputs(now, zero, ended, ended)


def advance_all(
    layout: Layout, mode: AutoresetMode, arrays, words, states: State, ended, actions
):
    """One step of all replicas, with the resets that the mode wants.

    `ended` tells whose episode ended in the step before. Returns the next `words`,
    `states` and `ended`, the outputs, those of the ended episodes, and a code.
    """
    task = layout.task(arrays)
    after = jax.vmap(task.step)(states, actions)
    reward = jax.vmap(task.reward)(states, after)
    terminated = jax.vmap(task.terminated)(after)
    truncated = jax.vmap(task.truncated)(after)
    finite = jnp.all(jnp.isfinite(actions), axis=-1)
    outputs = jax.vmap(functools.partial(layout.outputs, task))
    final = None
    if mode == AutoresetMode.NEXT_STEP:
        words, now = _refresh(task, words, after, ended)
        reward = jnp.where(ended, 0, reward)
        terminated, truncated = terminated & ~ended, truncated & ~ended
        code = jnp.where(jnp.all(finite | ended), FINE, NOT_FINITE)
    else:
        now = after
        code = jnp.where(jnp.all(finite), FINE, NOT_FINITE)
        if mode == AutoresetMode.SAME_STEP:
            words, now = _refresh(task, words, after, terminated | truncated)
            final = outputs(after, reward, terminated, truncated)
        else:
            code = jnp.where(jnp.any(ended), FINISHED, code)
    results = outputs(now, reward, terminated, truncated)
    return words, now, terminated | truncated, results, final, code


def _refresh(task: Task, words, states: State, due) -> tuple[Array, State]:
    """Begin the replicas that are due anew, some at a time; nothing if none is."""
    start = functools.partial(_start, task, positions=None)
    return masked_map(due, start, (words, states), words)


def _select(mask, new, old):
    return jnp.where(mask.reshape((-1,) + (1,) * (new.ndim - 1)), new, old)
