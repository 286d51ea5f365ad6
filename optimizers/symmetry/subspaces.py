"""Subspaces of symmetric structures, in which a search may look for minima.

The gradient of a structure has all of its symmetries: a descent that starts in such a
subspace stays in it.
"""

from __future__ import annotations

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from hopgym._converters import to_float
from hopgym.cell import Cell
from hopgym.context import Context, SystemInfo
from hopgym.optimizers.moves import check_species, get_packed_volume, get_radius
from hopgym.optimizers.symmetry import cluster_move
from hopgym.optimizers.symmetry.cluster_move import MoveKind
from hopgym.optimizers.symmetry.point_groups import list_point_groups
from hopgym.optimizers.symmetry.prior import Prior
from hopgym.optimizers.symmetry.translation_groups import list_translation_groups

LARGEST_ORDER = 24  # of the point groups
LOOSENESS = 2.0  # volume of random starts divided by that of close packing


class AbstractSubspaces(eqx.Module):
    """The groups of a system, and moves within their subspaces.

    **Attributes:**

    - `orders`: `Int[Array, "groups"]`, numbers of operations.
    - `logits`: `Float[Array, "groups"]`, logarithms of their prior probabilities.
    - `has_surface`: whether structures have a surface, which can be searched, and can
      be compressed.
    - `is_alloy`: whether orbits of different species can be exchanged.
    - `names`: names of the groups: Schoenflies symbols, or the numbers of parts along
      the edges of a box, such as 2x2x1.
    """

    orders: eqx.AbstractVar[Int[Array, " groups"]]
    logits: eqx.AbstractVar[Float[Array, " groups"]]
    has_surface: eqx.AbstractVar[bool]
    is_alloy: eqx.AbstractVar[bool]
    names: eqx.AbstractVar[tuple[str, ...]]

    @abc.abstractmethod
    def draw_frame(self, key: PRNGKeyArray) -> Float[Array, "3 3"]:
        """The orientation of a group: rows are its axes."""

    @abc.abstractmethod
    def propose(
        self,
        key: PRNGKeyArray,
        positions: Float[Array, "atoms 3"],
        *,
        kind: Int[Array, ""],
        count: Int[Array, ""],
        reach: Float[Array, ""],
        group: Int[Array, ""],
        frame: Float[Array, "3 3"],
        context: Context,
    ) -> Float[Array, "atoms 3"]:
        """Propose the start of a quench.

        **Arguments:**

        - `key`: random key of this move.
        - `positions`: the structure to move.
        - `kind`: one of [`hopgym.optimizers.symmetry.cluster_move.MoveKind`][].
        - `count`: how many orbits or atoms are moved.
        - `reach`: half-width of displacements, in units of length.
        - `group`, `frame`: index and orientation of the group.
        - `context`: see [`hopgym.Context`][].
        """


class ClusterSubspaces(AbstractSubspaces):
    """Point groups of clusters in free space, about the origin.

    Of the groups of `list_point_groups`, those of at most 24 operations and not more
    than there are atoms.

    **Arguments:**

    - `species`: species of each atom, counted from 0.
    - `prior`: of the groups.
    """

    operations: Float[Array, "groups most 3 3"]
    orders: Int[Array, " groups"]
    logits: Float[Array, " groups"]
    kinds: int = eqx.field(static=True)
    has_surface: bool = eqx.field(static=True)
    is_alloy: bool = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)

    def __init__(self, species: Int[np.ndarray, " atoms"], prior: Prior | None = None):
        most = min(LARGEST_ORDER, len(species))
        groups = [group for group in list_point_groups() if group.order <= most]
        padding = [np.zeros((most - group.order, 3, 3)) for group in groups]
        self.operations = to_float(
            np.stack(
                [
                    np.concatenate([group.operations, rest])
                    for group, rest in zip(groups, padding, strict=True)
                ]
            )
        )
        self.orders = jnp.asarray([group.order for group in groups], jnp.int32)
        self.logits = (prior or Prior()).weigh_point_groups(groups)
        self.kinds = int(species.max()) + 1
        self.has_surface = True
        self.is_alloy = self.kinds > 1
        self.names = tuple(group.name for group in groups)

    def draw_frame(self, key: PRNGKeyArray) -> Float[Array, "3 3"]:
        # A normal quaternion has a uniform direction.
        q = jax.random.normal(key, (4,), self.logits.dtype)
        w, x, y, z = q / jnp.maximum(jnp.linalg.norm(q), 1e-6)
        return jnp.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
        )

    def propose(
        self,
        key: PRNGKeyArray,
        positions: Float[Array, "atoms 3"],
        *,
        kind: Int[Array, ""],
        count: Int[Array, ""],
        reach: Float[Array, ""],
        group: Int[Array, ""],
        frame: Float[Array, "3 3"],
        context: Context,
    ) -> Float[Array, "atoms 3"]:
        radius = get_radius(get_packed_volume(positions.shape[0], LOOSENESS))
        return cluster_move.propose(
            positions,
            context.species,
            context.length,
            self.operations,
            self.orders,
            kinds=self.kinds,
            seed=jax.random.bits(key, (2,), jnp.uint32),
            kind=kind,
            count=count,
            reach=jnp.where(kind == MoveKind.START, radius, reach),
            group=group,
            frame=frame,
        )


class BoxSubspaces(AbstractSubspaces):
    """Translation groups of a rectangular periodic box: it consists of equal parts.

    Exchanges, surface searches and symmetrisations change nothing here.

    **Arguments:**

    - `box`, `length`, `species`: see
      [`hopgym.optimizers.symmetry.translation_groups.list_translation_groups`][].
    - `prior`: of the groups.

    **Raises:** `ValueError` if there is no such group.
    """

    parts: Int[Array, "groups 3"]
    source: Int[Array, "groups atoms"]
    shift: Float[Array, "groups atoms 3"]
    orders: Int[Array, " groups"]
    logits: Float[Array, " groups"]
    has_surface: bool = eqx.field(static=True)
    is_alloy: bool = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)

    def __init__(
        self,
        box: Float[np.ndarray, "3"],
        length: float,
        species: Int[np.ndarray, " atoms"],
        prior: Prior | None = None,
    ):
        groups = list_translation_groups(box, length, species)
        if not groups:
            raise ValueError("the box cannot consist of equal parts with whole atoms")
        orders = np.array([group.order for group in groups])
        self.parts = jnp.asarray([group.parts for group in groups], jnp.int32)
        self.source = jnp.asarray([group.source for group in groups], jnp.int32)
        self.shift = to_float(np.stack([group.shift for group in groups]))
        self.orders = jnp.asarray(orders, jnp.int32)
        self.logits = (prior or Prior()).weigh_translations(orders)
        self.has_surface = self.is_alloy = False
        self.names = tuple("x".join(map(str, group.parts)) for group in groups)

    def draw_frame(self, key: PRNGKeyArray) -> Float[Array, "3 3"]:
        return jnp.eye(3, dtype=self.logits.dtype)

    def propose(
        self,
        key: PRNGKeyArray,
        positions: Float[Array, "atoms 3"],
        *,
        kind: Int[Array, ""],
        count: Int[Array, ""],
        reach: Float[Array, ""],
        group: Int[Array, ""],
        frame: Float[Array, "3 3"],
        context: Context,
    ) -> Float[Array, "atoms 3"]:
        source, edges = self.source[group], context.box
        assert isinstance(edges, jax.Array)
        noise_key, atom_key = jax.random.split(key)
        noise = jax.random.uniform(noise_key, positions.shape, positions.dtype)
        drawn = edges / self.parts[group] * noise
        shaken = positions + context.length * reach * (2 * noise - 1)
        # A drop redraws one atom of the part, with all its images.
        atom = jax.random.randint(atom_key, (), 0, positions.shape[0])
        dropped = (kind == MoveKind.DROP) & (source == source[atom])
        redrawn = (kind == MoveKind.START) | dropped
        moved = jnp.where(redrawn[:, None], drawn, shaken)
        repeated = moved[source] + self.shift[group] * edges
        moves: Bool[Array, ""] = jnp.isin(
            kind, jnp.array([MoveKind.START, MoveKind.DROP, MoveKind.SHAKE])
        )
        return jnp.where(moves, repeated, positions)


def make_subspaces(
    system: SystemInfo, prior: Prior | None = None
) -> AbstractSubspaces | None:
    """The subspaces of a system: point groups in free space, translations in boxes.

    **Arguments:**

    - `system`: determines the groups.
    - `prior`: of the groups.

    **Returns:** `None` if there are none: for a single atom, constrained atoms, and
    cells that are not rectangular, not periodic along all axes, or not divisible.

    **Raises:** `ValueError` for a system whose species are not known, in a traced
    function.
    """
    check_species(system)
    species = np.asarray(system.species)
    if system.freedom is not None or isinstance(system.box, Cell) or len(species) < 2:
        return None
    if system.box is None:
        return ClusterSubspaces(species, prior)
    box, length = np.asarray(system.box), float(system.length)
    if not list_translation_groups(box, length, species):
        return None
    return BoxSubspaces(box, length, species, prior)
