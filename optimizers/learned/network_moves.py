"""Moves of basin hopping by a network that sees the neighbours of each atom."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from hopgym._checks import NOT_NEGATIVE, check_fields, is_known
from hopgym._converters import to_float
from hopgym._unrolled_random import unroll
from hopgym.context import Context
from hopgym.optimizers.learned.radial import ETAS, radial_functions
from hopgym.optimizers.moves import (
    AbstractMove,
    Mixture,
    Shake,
    SurfaceMove,
    exchange_two,
    move_weakest,
    shake,
)

INPUTS = 2 * len(ETAS) + 3  # of each atom
OUTPUTS = ("log_reach", "weakness", "exchange")
MOST_LOG_REACH = 2.0  # a step is at most e^2 times as long or as short


class MoveNetwork(eqx.Module):
    """A perceptron with one hidden layer, applied to each atom.

    The weights of its outputs are zero at first: then all atoms are treated alike.

    **Arguments:**

    - `key`: random key of the weights.
    - `hidden`: width of the hidden layer.
    """

    first: Float[Array, "inputs hidden"]
    bias: Float[Array, " hidden"]
    last: Float[Array, "hidden outputs"]

    def __init__(self, key: PRNGKeyArray, hidden: int):
        drawn = jax.random.normal(unroll(key), (INPUTS, hidden))
        self.first = to_float(drawn / jnp.sqrt(INPUTS))
        self.bias = to_float(jnp.zeros(hidden))
        self.last = to_float(jnp.zeros((hidden, len(OUTPUTS))))

    def __call__(
        self, inputs: Float[Array, "atoms inputs"]
    ) -> Float[Array, "atoms outputs"]:
        first, bias, last = (
            x.astype(inputs.dtype) for x in (self.first, self.bias, self.last)
        )
        return jnp.tanh(inputs @ first + bias) @ last


class NetworkMoves(AbstractMove):
    """Shakes, surface moves and exchanges, whose atoms a network tells apart.

    The network sees the paper's radial symmetry functions of an atom, over all of its
    neighbours and over those of other species (Learn2Hop, section 3.1), its distance
    from the centroid, its species and the adaptive scale. It scales how far the atom is
    shaken, counts as neighbours less in the choice of the weakest atom, and weighs the
    atoms that are exchanged.

    **Arguments:**

    - `network`: the network.
    - `shares`: relative frequencies of shakes, surface moves and exchanges.
    - `step_size`: see [`hopgym.optimizers.Shake`][].
    """

    network: MoveNetwork
    shares: Float[Array, "3"] = eqx.field(converter=to_float)
    step_size: Float[Array, ""] = eqx.field(converter=to_float)

    def __check_init__(self):
        check_fields(self, shares=NOT_NEGATIVE, step_size=NOT_NEGATIVE)
        if is_known(self.shares) and not self.shares.any():
            raise ValueError("NetworkMoves: shares must not all be 0")

    def propose(
        self,
        key: PRNGKeyArray,
        positions: Float[Array, "atoms 3"],
        scale: Float[Array, ""],
        context: Context,
    ) -> Float[Array, "atoms 3"]:
        which_key, key = jax.random.split(key)
        outputs = self.network(describe_atoms(positions, scale, context))
        which = jax.random.categorical(which_key, jnp.log(self.shares))
        farther = jnp.exp(MOST_LOG_REACH * jnp.tanh(outputs[:, :1]))
        reach = self.step_size * scale * context.length * farther

        def move_one() -> Float[Array, "atoms 3"]:
            if context.box is not None:  # no surface
                return positions
            near = SurfaceMove().reach
            return move_weakest(key, positions, near, outputs[:, 1], context)

        return jax.lax.switch(
            which,
            [
                lambda: shake(key, positions, reach, context),
                move_one,
                lambda: exchange_two(key, positions, outputs[:, 2], context),
            ],
        )


def tell_atoms_apart(moves: Mixture, network: MoveNetwork) -> NetworkMoves:
    """The same moves by a network.

    **Arguments:**

    - `moves`: from [`hopgym.optimizers.basin_hopping.cluster_moves`][].
    """
    shares: dict[str, ArrayLike] = {
        type(move).__name__: moves.weights[k] for k, move in enumerate(moves.moves)
    }
    kinds = ("Shake", "SurfaceMove", "Exchange")
    weights = jnp.stack([jnp.asarray(shares.get(kind, 0.0)) for kind in kinds])
    (own,) = (move for move in moves.moves if isinstance(move, Shake))
    return NetworkMoves(network, weights, own.step_size)


def describe_atoms(
    positions: Float[Array, "atoms 3"], scale: Float[Array, ""], context: Context
) -> Float[Array, "atoms inputs"]:
    """Inputs of the network, all of the order of 1."""
    reduced = positions / context.length
    radial = radial_functions(reduced, context, unlike=True)
    distance = jnp.zeros(positions.shape[0], positions.dtype)
    if context.box is None:
        squares = jnp.sum((reduced - jnp.mean(reduced, axis=0)) ** 2, axis=1)
        distance = jnp.sqrt(squares / jnp.maximum(jnp.mean(squares), 1e-6))
    others = (
        distance,
        context.species.astype(positions.dtype),
        jnp.broadcast_to(jnp.log(scale), distance.shape),
    )
    return jnp.concatenate([jnp.log1p(radial), jnp.stack(others, axis=1)], axis=1)
