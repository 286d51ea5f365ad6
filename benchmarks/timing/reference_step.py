"""A literal implementation of the learned step, to which speeds are compared.

Nothing is folded, shared or approximated: all inputs of every coordinate are formed and
multiplied by their weights, including those that coordinates share, and forces are
JAX's derivatives of a pair energy.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from hopgym.optimizers.learned.learn2hop import (
    ATOMS_UNIT,
    DECAYS,
    DIRECTION_LIMIT,
    EPSILON,
    GRADIENT_LIMIT,
    PERIODS,
    Learn2Hop,
)
from hopgym.optimizers.learned.radial import CUTOFF, ETAS


def init(positions: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Initial moving averages of the gradient and of its square, and the step."""
    none = jnp.zeros((*positions.shape, len(DECAYS)), positions.dtype)
    return none, none, jnp.zeros((), jnp.int32)


def update(model: Learn2Hop, gradient: Any, state: Any, positions: Any, context: Any):
    """Displacement and next state, as in `Learn2Hop.update`."""
    first, second, step = state
    atoms = positions.shape[0]
    g = jnp.clip(
        gradient * context.length / context.energy_unit, -GRADIENT_LIMIT, GRADIENT_LIMIT
    )[..., None]
    rates = jnp.asarray(DECAYS, positions.dtype)
    first = rates * first + (1 - rates) * g
    second = rates * second + (1 - rates) * g**2
    if context.box is None:
        here = positions - positions.mean(axis=0)
    else:
        here = jnp.mod(positions, context.box) - context.box / 2
    here = here / context.length

    groups = {
        "gradients": g,
        "positions": here[..., None],
        "decays": jnp.concatenate([first, second], axis=-1),
        "adam": jnp.concatenate(
            [1 / jnp.sqrt(second + EPSILON), first / jnp.sqrt(second + EPSILON)],
            axis=-1,
        ),
    }
    rows = [groups[name] for name in model.features if name in groups]
    columns = [scale(jnp.concatenate(rows, axis=-1))] if rows else []

    def broadcast_atoms(values):
        return jnp.broadcast_to(values[:, None], (atoms, 3, values.shape[-1]))

    def broadcast_all(values):
        return jnp.broadcast_to(values, (atoms, 3, values.shape[-1]))

    if "species" in model.features and model.kinds == 2:
        columns.append(broadcast_atoms(jax.nn.one_hot(context.species, 2)))
    if "radial" in model.features:
        columns.append(
            broadcast_atoms(scale(sum_radial_functions(here, context, model.kinds)))
        )
    if "singular" in model.features:
        columns.append(broadcast_all(jnp.array([atoms / ATOMS_UNIT])))
    if "step" in model.features:
        columns.append(broadcast_all(jnp.sin(step / jnp.array(PERIODS))))

    network = model.network
    first_layer = jnp.concatenate([network.component, network.atom, network.step])
    values = jnp.concatenate(columns, axis=-1) @ first_layer + network.bias
    for weights, bias in network.inner:
        values = jax.nn.relu(values) @ weights + bias
    outputs = jax.nn.relu(values) @ network.output + network.output_bias
    size = jnp.exp(model.log_alpha) * context.length
    d = jnp.clip(outputs[..., 1], -DIRECTION_LIMIT, DIRECTION_LIMIT)
    moved = size * d * jax.nn.sigmoid(model.beta * outputs[..., 0] + model.gamma)
    return moved, (first, second, step + 1)


def scale(x: jax.Array) -> jax.Array:
    """(log|x| / 10, sign x) where |x| >= e^-10, else (-1, x e^10)."""
    large = jnp.abs(x) >= jnp.exp(-10.0)
    size = jnp.where(large, jnp.log(jnp.where(large, jnp.abs(x), 1)) / 10, -1)
    sign = jnp.where(large, jnp.sign(x), x * jnp.exp(10.0))
    return jnp.concatenate([size, sign], axis=-1)


def sum_radial_functions(positions: jax.Array, context: Any, kinds: int) -> jax.Array:
    """sum_j exp(-eta d^2) (1 + cos(pi d / c)) / 2 over neighbours, and unlike ones."""
    d = positions[:, None] - positions
    if context.box is not None:
        box = context.box / context.length
        d = d - box * jnp.round(d / box)
    pairs = ~jnp.eye(positions.shape[0], dtype=bool)
    distances = jnp.sqrt(jnp.where(pairs, jnp.sum(d**2, axis=-1), 1))
    inside = pairs & (distances < CUTOFF)
    cutoff = jnp.where(inside, 0.5 * (jnp.cos(jnp.pi * distances / CUTOFF) + 1), 0)
    etas = jnp.asarray(ETAS, positions.dtype)
    terms = jnp.exp(-etas * distances[..., None] ** 2) * cutoff[..., None]
    sums = [terms.sum(axis=1)]
    if kinds == 2:
        unlike = context.species[:, None] != context.species
        sums.append(jnp.where(unlike[..., None], terms, 0).sum(axis=1))
    return jnp.concatenate(sums, axis=-1)
