"""What an agent sees of a structure: everything bounded, in float32."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int

from hopgym.environment import State
from hopgym.systems import System

OBSERVATIONS = ("flat", "dict", "neighbours")
ENTRIES = ("positions", "gradient", "energy", "step", "species")
ORDER = (*ENTRIES, "neighbours", "kinds")

# Reduced gradients are limited to this before their asinh, which is then below 20.
GRADIENT_LIMIT = 1e8
GRADIENT_BOUND = 20.0

# Length of the vector to a neighbour that is further away, in reduced units.
NEIGHBOUR_BOUND = 5.0


def flat(observation: dict[str, Float32[Array, "..."]]) -> Float32[Array, " features"]:
    """An observation as one vector: the entries there are, in the order of `ORDER`."""
    return jnp.concatenate([entry.reshape(-1) for entry in in_order(observation)])


def in_order(entries: dict) -> list:
    """The values of an observation, or of its bounds, in the order of `ORDER`."""
    return [entries[name] for name in ORDER if name in entries]


def bounded(
    values: Float[Array, "..."], bound: float | Float32[Array, "3"]
) -> Float32[Array, "..."]:
    """The values in single precision and within the bound; NaN counts as 0."""
    single = jnp.nan_to_num(values.astype(jnp.float32))
    return jnp.clip(single, -bound, bound)


def placed(state: State, system: System) -> Float[Array, "atoms 3"]:
    """Positions about the centroid, or in a periodic box about its centre, reduced."""
    if system.box is None:
        positions = state.positions - jnp.mean(state.positions, axis=0)
    else:
        cells = jnp.floor(state.positions / system.box)
        positions = state.positions - (cells + 0.5) * system.box
    return positions / system.length


def reduced_gradient(state: State, system: System) -> Float[Array, "atoms 3"]:
    """The gradient in reduced units, its components limited."""
    gradient = state.gradient * (system.length / system.energy_unit)
    return jnp.clip(gradient, -GRADIENT_LIMIT, GRADIENT_LIMIT)


def species_scale(system: System) -> Float32[Array, " atoms"]:
    """The species evenly spaced in [-1, 1], 0 if there is one only."""
    kinds = len(system.elements)
    return bounded((2 * system.species - (kinds - 1)) / max(kinds - 1, 1), 1.0)


def turning(
    gradient: Float[Array, "atoms 3"],
) -> Float32[Array, "atoms 3"]:
    """Every atom's gradient with its length |g| replaced by asinh |g|."""
    length = jnp.linalg.norm(gradient, axis=1, keepdims=True)
    length = jnp.maximum(length, 1e-12)
    return bounded(gradient * (jnp.arcsinh(length) / length), GRADIENT_BOUND)


def nearest(
    state: State, system: System, count: int
) -> tuple[Float32[Array, "atoms neighbours 3"], Int[Array, "atoms neighbours"]]:
    """Vectors from each atom to its nearest ones, nearest first, and which these are.

    In a periodic box to the nearest image. Where a vector is longer than
    `NEIGHBOUR_BOUND` lengths it is shortened to that.

    **Arguments:**

    - `count`: number of neighbours, fewer than there are atoms.
    """
    apart = state.positions[None] - state.positions[:, None]
    if system.box is not None:
        apart = apart - system.box * jnp.round(apart / system.box)
    apart = apart / system.length
    square = jnp.sum(apart**2, axis=-1)
    square = jnp.where(jnp.eye(system.atoms, dtype=bool), jnp.inf, square)
    _, which = jax.lax.top_k(-square, count)
    vectors = jnp.take_along_axis(apart, which[:, :, None], axis=1)
    length = jnp.linalg.norm(vectors, axis=-1, keepdims=True)
    vectors = vectors * (NEIGHBOUR_BOUND / jnp.maximum(length, NEIGHBOUR_BOUND))
    return bounded(vectors, NEIGHBOUR_BOUND), which


def neighbour_bounds(
    system: System, count: int
) -> dict[str, Float32[np.ndarray, "..."]]:
    """Bounds of what [`hopgym.rl.observations.nearest`][] gives."""
    shape = (system.atoms, count)
    bounds = {"neighbours": np.full((*shape, 3), NEIGHBOUR_BOUND, np.float32)}
    kinds = {"kinds": np.ones(shape, np.float32)} if len(system.elements) > 1 else {}
    return bounds | kinds
