"""Moves of basin hopping, which propose the start of the next quench."""

from __future__ import annotations

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray

from hopgym._checks import NOT_NEGATIVE, POSITIVE, check_fields, is_known
from hopgym._converters import to_float
from hopgym.cell import Cell
from hopgym.context import Context, SystemInfo


class AbstractMove(eqx.Module):
    """A random change of a structure."""

    @abc.abstractmethod
    def propose(
        self,
        key: PRNGKeyArray,
        positions: Float[Array, "atoms 3"],
        scale: Float[Array, ""],
        context: Context,
    ) -> Float[Array, "atoms 3"]:
        """Propose new positions; atoms that are fixed (`context.movable`) keep theirs.

        **Arguments:**

        - `key`: random key of this move.
        - `positions`: the current minimum.
        - `scale`: adaptive factor for the size of moves, initially 1.
        - `context`: see [`hopgym.Context`][].
        """


class Shake(AbstractMove):
    """Displace every coordinate by a uniform random number (Wales and Doye, 1997).

    **Arguments:**

    - `step_size`: half-width of the distribution, in units of length.
    """

    step_size: Float[Array, ""] = eqx.field(converter=to_float, default=0.4)

    def __check_init__(self):
        check_fields(self, step_size=NOT_NEGATIVE)

    def propose(
        self,
        key: PRNGKeyArray,
        positions: Float[Array, "atoms 3"],
        scale: Float[Array, ""],
        context: Context,
    ) -> Float[Array, "atoms 3"]:
        reach = self.step_size * scale * context.length
        return shake(key, positions, reach, context)


class GaussianShake(AbstractMove):
    """Displace every coordinate by a normal random number (Learn2Hop, C.2).

    **Arguments:**

    - `std`: standard deviation in the potential's own unit of length, as in the paper.
    """

    std: Float[Array, ""] = eqx.field(converter=to_float, default=0.4)

    def __check_init__(self):
        check_fields(self, std=NOT_NEGATIVE)

    def propose(
        self,
        key: PRNGKeyArray,
        positions: Float[Array, "atoms 3"],
        scale: Float[Array, ""],
        context: Context,
    ) -> Float[Array, "atoms 3"]:
        noise = jax.random.normal(key, positions.shape, positions.dtype)
        return _keep_fixed(positions + self.std * scale * noise, positions, context)


class Redraw(AbstractMove):
    """Draw a new structure, uniformly in a sphere or in the periodic box.

    In a cell that is periodic along some axes only, atoms are drawn in a slab or a
    square rod. Sphere, slab and rod are centred at the centroid if atoms are fixed or
    the cell is periodic.

    **Arguments:**

    - `looseness`: volume of sphere, slab or rod divided by that of as many close-packed
      atoms.
    """

    looseness: Float[Array, ""] = eqx.field(converter=to_float, default=2.0)

    def __check_init__(self):
        check_fields(self, looseness=POSITIVE)

    def propose(
        self,
        key: PRNGKeyArray,
        positions: Float[Array, "atoms 3"],
        scale: Float[Array, ""],
        context: Context,
    ) -> Float[Array, "atoms 3"]:
        drawn = self._draw(key, positions, context)
        if context.freedom is not None and context.box is None:
            drawn = drawn + jnp.mean(positions, axis=0)
        return _keep_fixed(drawn, positions, context)

    def _draw(self, key, positions, context) -> Array:
        volume = get_packed_volume(positions.shape[0], self.looseness)
        if isinstance(context.box, Cell):
            return _draw_in_cell(
                key, positions, context.box, volume * context.length**3
            )
        if context.box is not None:
            return context.box * jax.random.uniform(
                key, positions.shape, positions.dtype
            )
        radius = context.length * get_radius(volume)
        radius_key, direction_key = jax.random.split(key)
        fraction = jax.random.uniform(
            radius_key, (positions.shape[0], 1), positions.dtype
        )
        directions = jax.random.normal(direction_key, positions.shape, positions.dtype)
        norms = jnp.linalg.norm(directions, axis=1, keepdims=True)
        return radius * jnp.cbrt(fraction) * directions / jnp.maximum(norms, 1e-6)


class SurfaceMove(AbstractMove):
    """Move the most weakly bound atom of a cluster to a random place on its surface.

    After the "angular moves" of Wales and Doye, J. Phys. Chem. A 101, 5111 (1997), who
    choose the atom by its energy; here it is the one with the fewest neighbours, which
    needs no evaluation. Constrained atoms are not moved.

    **Arguments:**

    - `reach`: distance below which two atoms are neighbours, in units of length.

    **Raises:** `ValueError`, when a move is proposed, for a cell that is not
    rectangular or not periodic along all axes.
    """

    reach: Float[Array, ""] = eqx.field(converter=to_float, default=1.35)

    def __check_init__(self):
        check_fields(self, reach=POSITIVE)

    def propose(
        self,
        key: PRNGKeyArray,
        positions: Float[Array, "atoms 3"],
        scale: Float[Array, ""],
        context: Context,
    ) -> Float[Array, "atoms 3"]:
        return move_weakest(key, positions, self.reach, 0.0, context)


class Exchange(AbstractMove):
    """Exchange two atoms of different species, neither of them constrained.

    Where there are none, nothing changes.
    """

    def propose(
        self,
        key: PRNGKeyArray,
        positions: Float[Array, "atoms 3"],
        scale: Float[Array, ""],
        context: Context,
    ) -> Float[Array, "atoms 3"]:
        return exchange_two(key, positions, None, context)


class Mixture(AbstractMove):
    """One of several moves, drawn at random for each hop.

    **Arguments:**

    - `moves`: the moves to draw from.
    - `weights`: their relative frequencies.

    **Raises:** `ValueError` for negative weights, no weight above 0, or different
    numbers of weights and moves.
    """

    moves: tuple[AbstractMove, ...]
    weights: Float[Array, " moves"]

    def __init__(self, moves: tuple[AbstractMove, ...], weights: tuple[ArrayLike, ...]):
        weighed = len(moves) == len(weights) > 0
        if weighed and is_known(weights):
            numbers = np.asarray(weights, float)
            weighed = bool(np.all((numbers >= 0) & (numbers < np.inf)) and any(numbers))
        if not weighed:
            raise ValueError(
                f"a mixture needs one weight >= 0 for each of its {len(moves)} moves, "
                f"and not all of them 0, got {weights}"
            )
        self.moves = moves
        self.weights = jnp.stack([to_float(weight) for weight in weights])

    def propose(
        self,
        key: PRNGKeyArray,
        positions: Float[Array, "atoms 3"],
        scale: Float[Array, ""],
        context: Context,
    ) -> Float[Array, "atoms 3"]:
        which_key, key = jax.random.split(key)
        which = jax.random.categorical(which_key, jnp.log(self.weights))
        branches = [
            lambda move=move: move.propose(key, positions, scale, context)
            for move in self.moves
        ]
        return jax.lax.switch(which, branches)


def shake(
    key: PRNGKeyArray,
    positions: Float[Array, "atoms 3"],
    reach: ArrayLike,
    context: Context,
) -> Float[Array, "atoms 3"]:
    """Displace every coordinate by a uniform random number.

    **Arguments:**

    - `reach`: half-width of the distribution, of all atoms or of each.
    """
    noise = jax.random.uniform(
        key, positions.shape, positions.dtype, minval=-1, maxval=1
    )
    return _keep_fixed(positions + reach * noise, positions, context)


def move_weakest(
    key: PRNGKeyArray,
    positions: Float[Array, "atoms 3"],
    reach: ArrayLike,
    scores: ArrayLike,
    context: Context,
) -> Float[Array, "atoms 3"]:
    """Move the atom with the fewest neighbours to a random place on the surface.

    **Arguments:**

    - `reach`: distance below which two atoms are neighbours, in units of length.
    - `scores`: count as so many neighbours less, of each atom.

    **Raises:** `ValueError` for a cell that is not rectangular or not periodic along
    all axes.
    """
    if isinstance(context.box, Cell):
        raise ValueError(
            "surface moves are for clusters in free space: set surface=0 for "
            "slabs, wires and crystals"
        )
    centred = positions - jnp.mean(positions, axis=0)
    squared = jnp.sum((centred[:, None] - centred) ** 2, axis=-1)
    near = squared < (reach * context.length) ** 2
    radii2 = jnp.sum(centred**2, axis=1)
    # Fewest neighbours; among equals, the outermost.
    rank = jnp.sum(near, axis=1) - scores - radii2 / (1 + jnp.max(radii2))
    if context.freedom is not None:
        rank = jnp.where(context.unconstrained, rank, jnp.inf)
    loosest = jnp.argmin(rank)
    direction = jax.random.normal(key, (3,), positions.dtype)
    direction = direction / jnp.maximum(jnp.linalg.norm(direction), 1e-6)
    place = direction * jnp.sqrt(jnp.max(radii2)) + jnp.mean(positions, axis=0)
    chosen = jnp.arange(positions.shape[0]) == loosest
    if context.freedom is not None:
        chosen = chosen & context.unconstrained
    return jnp.where(chosen[:, None], place, positions)


def exchange_two(
    key: PRNGKeyArray,
    positions: Float[Array, "atoms 3"],
    logits: Float[Array, " atoms"] | None,
    context: Context,
) -> Float[Array, "atoms 3"]:
    """Exchange two atoms of different species, neither of them constrained.

    Where there are none, nothing changes.

    **Arguments:**

    - `logits`: logarithms of the relative probabilities of atoms, `None` if all are
      the same.
    """
    first_key, second_key = jax.random.split(key)
    atoms, is_uniform = positions.shape[0], logits is None
    free = None if context.freedom is None else context.unconstrained
    logits = jnp.zeros(atoms, positions.dtype) if logits is None else logits
    if free is None and is_uniform:
        first = jax.random.randint(first_key, (), 0, atoms)
    else:
        weights = logits if free is None else jnp.where(free, logits, -jnp.inf)
        first = jax.random.categorical(first_key, weights)
    unlike = context.species != context.species[first]
    if free is not None:
        unlike = unlike & free & free[first]
    weights = jnp.where(unlike, logits, -jnp.inf)
    second = jax.random.categorical(second_key, weights)
    second = jnp.where(jnp.any(unlike), second, first)
    order = jnp.arange(atoms)
    order = jnp.where(order == first, second, jnp.where(order == second, first, order))
    return positions[order]


def check_species(system: SystemInfo) -> None:
    """Raise `ValueError` if the species of a system are not known."""
    if not is_known(system.species):
        raise ValueError(
            "the moves of a search depend on the species of its system, which are not "
            "known here: make it outside of functions under jit or vmap that have the "
            "system as an argument"
        )


def get_packed_volume(atoms: int, looseness: ArrayLike) -> ArrayLike:
    """Volume of close-packed atoms times their looseness, in units of length^3."""
    # Close packing: sqrt(2) atoms in a cube of the nearest-neighbour distance.
    return looseness * atoms / 2**0.5


def get_radius(volume: ArrayLike) -> ArrayLike:
    """Radius of a sphere."""
    return (3 * volume / (4 * jnp.pi)) ** (1 / 3)


def _keep_fixed(
    proposal: Float[Array, "atoms 3"],
    positions: Float[Array, "atoms 3"],
    context: Context,
) -> Float[Array, "atoms 3"]:
    """The proposal, but the positions of atoms that cannot move."""
    if context.freedom is None:
        return proposal
    return jnp.where(context.movable[:, None], proposal, positions)


def _draw_in_cell(
    key: PRNGKeyArray,
    positions: Float[Array, "atoms 3"],
    cell: Cell,
    volume: Float[Array, ""],
) -> Float[Array, "atoms 3"]:
    """Draw positions uniformly in a cell, around the centroid.

    Along axes that are not periodic, the edges are such that it has the given volume.
    """
    edges = jnp.ones(3, positions.dtype)
    if not all(cell.periodic):
        # The other vectors have unit length.
        base = jnp.abs(jnp.linalg.det(cell.vectors))
        edge = (volume / base) ** (1 / cell.periodic.count(False))
        edges = jnp.where(jnp.asarray(cell.periodic), 1, edge)
    fractions = jax.random.uniform(key, positions.shape, positions.dtype) - 0.5
    return jnp.mean(positions, axis=0) + cell.get_positions(edges * fractions)
