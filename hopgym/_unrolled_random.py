"""Random numbers of JAX's default generator, computed without loops.

On CPUs JAX compiles every call of Threefry to a loop, whose many small steps take
longer than the numbers of a few replicas, and which takes several times longer to
compile. Here each call is one expression; numbers are the same.

Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC11 (2011).
"""

from __future__ import annotations

import functools

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray, UInt32

_DEFAULT = "threefry2x32"
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_GROUPS = 5  # of four rounds


def unroll(key: PRNGKeyArray) -> PRNGKeyArray:
    """A key with the same random numbers, which are computed without loops.

    A key of another generator, or one on GPUs, where JAX has a kernel, is returned
    itself.
    """
    if (
        str(jax.random.key_impl(key)) != _DEFAULT
        or not getattr(jax.config, "jax_threefry_partitionable", False)
        or jax.default_backend() != "cpu"
    ):
        return key
    return jax.random.wrap_key_data(jax.random.key_data(key), impl=_UNROLLED)


@functools.partial(jax.jit, static_argnames="shape", inline=True)
def _hash_counts(
    key: UInt32[Array, "2"], shape: tuple[int, ...]
) -> tuple[UInt32[Array, "..."], UInt32[Array, "..."]]:
    """Threefry-2x32-20 of the numbers 0, 1, 2, ...: its two words."""
    first, second = key
    keys = (first, second, first ^ second ^ np.uint32(0x1BD11BDA))
    low = jnp.arange(np.prod(shape, dtype=int), dtype=jnp.uint32).reshape(shape)
    words = [jnp.full_like(low, keys[0]), low + keys[1]]
    for group in range(_GROUPS):
        for rotation in _ROTATIONS[group % 2]:
            words[0] = words[0] + words[1]
            left = words[1] << np.uint32(rotation)
            words[1] = words[0] ^ (left | words[1] >> np.uint32(32 - rotation))
        words[0] = words[0] + keys[(group + 1) % 3]
        words[1] = words[1] + keys[(group + 2) % 3] + np.uint32(group + 1)
    return words[0], words[1]


def _split(key, shape):
    return jnp.stack(_hash_counts(key, shape), axis=-1)


def _random_bits(key, bit_width, shape):
    first, second = _hash_counts(key, shape)
    if bit_width == 64:
        return first.astype(jnp.uint64) << 32 | second.astype(jnp.uint64)
    return (first ^ second).astype(f"uint{bit_width}")


def _seed(seed):
    return jax.random.key_data(jax.random.key(seed, impl=_DEFAULT))


def _fold_in(key, data):
    folded = jax.random.fold_in(jax.random.wrap_key_data(key, impl=_DEFAULT), data)
    return jax.random.key_data(folded)


_UNROLLED = jax.extend.random.define_prng_impl(
    key_shape=(2,),
    seed=_seed,
    split=_split,
    random_bits=_random_bits,
    fold_in=_fold_in,
    name="unrolled_threefry2x32",
    tag="utf",
)
