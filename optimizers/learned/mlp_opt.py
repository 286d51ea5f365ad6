"""MLPOpt, the learned optimizer on which that of the paper is based.

L. Metz, N. Maheswaranathan, J. Nixon, C. D. Freeman and J. Sohl-Dickstein, ICML 2019,
arXiv:1810.10180, as implemented in google/learned_optimization.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from hopgym._checks import check_integer
from hopgym.context import Context
from hopgym.optimizers.base import AbstractOptimizer
from hopgym.optimizers.learned.learn2hop import GRADIENT_LIMIT, centre
from hopgym.optimizers.learned.network import MAX_DEPTH, MAX_HIDDEN, Network

DECAYS = (0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)
PERIODS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000)
STEP_SIZE = 1e-3
MAGNITUDE = 1e-3
EXPONENT_LIMIT = 1e4  # of the output m: displacements grow at most by a factor of e^10


class MLPOptState(eqx.Module):
    """Moving averages of the gradient, and the number of updates."""

    momentum: Float[Array, "atoms 3 decays"]
    step: Int[Array, ""]


class MLPOpt(AbstractOptimizer[MLPOptState]):
    """A perceptron with weights shared by all coordinates, without neighbour features.

    With the outputs d and m of the network, the displacement of a coordinate is

        -0.001 d exp(0.001 m)

    in the system's unit of length. The inputs, in reduced units, are gradient, position
    and moving averages of the gradient with decay rates 0.1, 0.5, 0.9, 0.99, 0.999 and
    0.9999, each divided by its root mean square over all coordinates; and
    tanh(t / tau - 1) with the number of updates t and tau = 1, 3, 10, ..., 100000.

    **Arguments:**

    - `key`: random key of the initial weights; those of the output layer are zero.
    - `hidden`, `depth`: width of the hidden layers, and number of dense layers.

    **Raises:** `ValueError` for `hidden` outside of 1 to 4096 or `depth` outside of 2
    to 64.
    """

    network: Network

    def __init__(self, key: PRNGKeyArray, hidden: int = 32, depth: int = 3):
        check_integer("a network needs hidden >= 1: hidden", hidden, 1, MAX_HIDDEN)
        check_integer("a network needs depth >= 2: depth", depth, 2, MAX_DEPTH)
        self.network = Network(
            2 + len(DECAYS), 0, len(PERIODS), hidden=hidden, depth=depth, key=key
        )

    def init(
        self, positions: Float[Array, "atoms 3"], *, key: PRNGKeyArray, context: Context
    ) -> MLPOptState:
        momentum = jnp.zeros((*positions.shape, len(DECAYS)), positions.dtype)
        return MLPOptState(momentum, jnp.zeros((), jnp.int32))

    def update(
        self,
        gradient: Float[Array, "atoms 3"],
        state: MLPOptState,
        positions: Float[Array, "atoms 3"],
        *,
        value: Float[Array, ""],
        context: Context,
    ) -> tuple[Float[Array, "atoms 3"], MLPOptState]:
        dtype = positions.dtype
        reduced = gradient * (context.length / context.energy_unit)
        g = jnp.clip(reduced, -GRADIENT_LIMIT, GRADIENT_LIMIT)[..., None]
        rates = jnp.asarray(DECAYS, dtype)
        momentum = rates * state.momentum + (1 - rates) * g
        centred = (centre(positions, context) / context.length)[..., None]
        inputs = jnp.concatenate([g, centred, momentum], axis=-1)
        norms = jnp.mean(inputs**2, axis=(0, 1), keepdims=True)
        inputs = inputs * jax.lax.rsqrt(norms + 1e-5)
        network = jax.tree.map(lambda x: x.astype(dtype), self.network)
        direction, magnitude = network(
            inputs.transpose(2, 1, 0).reshape(inputs.shape[-1], -1),
            jnp.zeros((positions.shape[0], 0), dtype),
            jnp.tanh(state.step / jnp.asarray(PERIODS, dtype) - 1),
        )
        exponent = jnp.clip(magnitude, -EXPONENT_LIMIT, EXPONENT_LIMIT) * MAGNITUDE
        displacement = -STEP_SIZE * direction * jnp.exp(exponent)
        displacement = displacement.reshape(3, -1).T * context.length
        return displacement.astype(dtype), MLPOptState(momentum, state.step + 1)
