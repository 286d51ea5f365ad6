"""What the tests of optimizers share."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import hopgym
from hopgym.environment import take_step


@functools.cache
def environment(name, x64=False):
    with jax.enable_x64(x64), jax.ensure_compile_time_eval():
        return hopgym.Environment(hopgym.get_system(name))


@functools.cache
def start(name, x64=False):
    """One random start, kept: it must not be a tracer of the first who asks."""
    with jax.enable_x64(x64), jax.ensure_compile_time_eval():
        return environment(name, x64).system.sample(jax.random.key(1))


def descend(env, optimizer, positions, steps, key=0):
    """State after `steps` updates, without `rollout`."""
    if isinstance(key, int):
        key = jax.random.key(key)
    state = env.reset(key, positions)
    opt_state = optimizer.init(positions, key=key, context=env.context)

    return jax.lax.fori_loop(
        0, steps, lambda _, carry: take_step(env, optimizer, *carry), (state, opt_state)
    )[0]


def overlapping(env, positions):
    """`positions` with two atoms that nearly coincide."""
    return positions.at[1].set(positions[0] + 1e-3 * env.system.length)


def finite(tree):
    """Whether all leaves are finite."""
    return all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(tree))


def perturb_weights(model, size=0.1):
    """A model with random weights instead of an output layer of zeros."""
    rng = np.random.default_rng(7)

    def perturb(weights):
        return jnp.asarray(weights + size * rng.normal(size=weights.shape))

    return jax.tree.map(lambda x: perturb(np.asarray(x)).astype(x.dtype), model)
