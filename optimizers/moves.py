"""Moves of basin hopping: where a hop begins its next quench."""

from __future__ import annotations

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray

from hopgym.context import Context
from hopgym.optimizers.base import real


class AbstractMove(eqx.Module):
    """A random change of a structure."""

    @abc.abstractmethod
    def propose(
        self,
        key: PRNGKeyArray,
        positions: Float[Array, "atoms 3"],
        size: Float[Array, ""],
        context: Context,
    ) -> Float[Array, "atoms 3"]:
        """New positions; `size` is the adaptive step size, 1 to begin with."""


class Shake(AbstractMove):
    """Every coordinate moves by a uniform random number (Wales and Doye, 1997).

    **Arguments:**

    - `step`: half width in units of length.
    """

    step: Float[Array, ""]

    def __init__(self, step: ArrayLike = 0.4):
        self.step = real(step)

    def propose(
        self,
        key: PRNGKeyArray,
        positions: Float[Array, "atoms 3"],
        size: Float[Array, ""],
        context: Context,
    ) -> Float[Array, "atoms 3"]:
        reach = self.step * size * context.length
        noise = jax.random.uniform(
            key, positions.shape, positions.dtype, minval=-1, maxval=1
        )
        return positions + reach * noise


class GaussianShake(AbstractMove):
    """Every coordinate moves by a normal random number (Learn2Hop, C.2).

    **Arguments:**

    - `step`: standard deviation in the system's own unit of length, as in the paper.
    """

    step: Float[Array, ""]

    def __init__(self, step: ArrayLike = 0.4):
        self.step = real(step)

    def propose(
        self,
        key: PRNGKeyArray,
        positions: Float[Array, "atoms 3"],
        size: Float[Array, ""],
        context: Context,
    ) -> Float[Array, "atoms 3"]:
        noise = jax.random.normal(key, positions.shape, positions.dtype)
        return positions + self.step * size * noise


class Redraw(AbstractMove):
    """Forget the structure: uniform in a sphere (or in the periodic box).

    The sphere's volume is that of the cluster at the density of close packing,
    times `looseness`.
    """

    looseness: Float[Array, ""]

    def __init__(self, looseness: float = 2.0):
        self.looseness = real(looseness)

    def propose(
        self,
        key: PRNGKeyArray,
        positions: Float[Array, "atoms 3"],
        size: Float[Array, ""],
        context: Context,
    ) -> Float[Array, "atoms 3"]:
        if context.box is not None:
            return context.box * jax.random.uniform(
                key, positions.shape, positions.dtype
            )
        # Close packing has sqrt(2) atoms in a cube of the nearest-neighbour distance.
        volume = self.looseness * positions.shape[0] / 2**0.5
        radius = context.length * (3 * volume / (4 * jnp.pi)) ** (1 / 3)
        radius_key, direction_key = jax.random.split(key)
        share = jax.random.uniform(radius_key, (positions.shape[0], 1), positions.dtype)
        directions = jax.random.normal(direction_key, positions.shape, positions.dtype)
        norms = jnp.linalg.norm(directions, axis=1, keepdims=True)
        return radius * jnp.cbrt(share) * directions / jnp.maximum(norms, 1e-6)


class SurfaceMove(AbstractMove):
    """The worst-bound atom goes to a random place on the surface.

    After the "angular moves" of Wales and Doye, J. Phys. Chem. A 101, 5111 (1997),
    who take the atom by its energy; here it is the one with the fewest neighbours,
    which needs no evaluation.

    **Arguments:**

    - `reach`: distance in units of length within which an atom is a neighbour.
    """

    reach: Float[Array, ""]

    def __init__(self, reach: float = 1.35):
        self.reach = real(reach)

    def propose(
        self,
        key: PRNGKeyArray,
        positions: Float[Array, "atoms 3"],
        size: Float[Array, ""],
        context: Context,
    ) -> Float[Array, "atoms 3"]:
        about = positions - jnp.mean(positions, axis=0)
        squared = jnp.sum((about[:, None] - about) ** 2, axis=-1)
        near = squared < (self.reach * context.length) ** 2
        radii2 = jnp.sum(about**2, axis=1)
        # Fewest neighbours; among equals the outermost.
        rank = jnp.sum(near, axis=1) - radii2 / (1 + jnp.max(radii2))
        worst = jnp.argmin(rank)
        direction = jax.random.normal(key, (3,), positions.dtype)
        direction = direction / jnp.maximum(jnp.linalg.norm(direction), 1e-6)
        place = direction * jnp.sqrt(jnp.max(radii2)) + jnp.mean(positions, axis=0)
        chosen = (jnp.arange(positions.shape[0]) == worst)[:, None]
        return jnp.where(chosen, place, positions)


class Exchange(AbstractMove):
    """Two atoms of different species change places (none if all are alike)."""

    def propose(
        self,
        key: PRNGKeyArray,
        positions: Float[Array, "atoms 3"],
        size: Float[Array, ""],
        context: Context,
    ) -> Float[Array, "atoms 3"]:
        first_key, second_key = jax.random.split(key)
        atoms = positions.shape[0]
        first = jax.random.randint(first_key, (), 0, atoms)
        unlike = context.species != context.species[first]
        weights = jnp.where(unlike, 0.0, -jnp.inf)
        second = jax.random.categorical(second_key, weights)
        second = jnp.where(jnp.any(unlike), second, first)
        order = jnp.arange(atoms)
        order = jnp.where(
            order == first, second, jnp.where(order == second, first, order)
        )
        return positions[order]


class Mixture(AbstractMove):
    """One of several moves, drawn anew for each hop.

    **Arguments:**

    - `moves`: what to choose from.
    - `weights`: relative frequencies.
    """

    moves: tuple[AbstractMove, ...]
    weights: Float[Array, " moves"]

    def __init__(self, moves: tuple[AbstractMove, ...], weights: tuple[float, ...]):
        if len(moves) != len(weights) or min(weights, default=0) < 0:
            raise ValueError(
                f"a mixture needs one weight >= 0 for each of its {len(moves)} moves, "
                f"got {weights}"
            )
        self.moves = moves
        self.weights = real(weights)

    def propose(
        self,
        key: PRNGKeyArray,
        positions: Float[Array, "atoms 3"],
        size: Float[Array, ""],
        context: Context,
    ) -> Float[Array, "atoms 3"]:
        which_key, key = jax.random.split(key)
        which = jax.random.categorical(which_key, jnp.log(self.weights))
        branches = [
            lambda move=move: move.propose(key, positions, size, context)
            for move in self.moves
        ]
        return jax.lax.switch(which, branches)
