"""Random starts of searches on a calculator: in free space, in a cell, on a slab."""

from __future__ import annotations

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from hopgym.cell import Cell
from hopgym.chemistry.convert import get_cell

LOOSENESS = 2.0  # volume of a region, divided by that of as many close-packed atoms
LAYERS = 2.0  # lengths: height of the region above a slab
GAP = 0.8  # lengths between the region and the slab
# Soft spheres push atoms apart: number and size of the steps, in reduced units.
STEPS, RATE = 1000, 1e-2


@dataclass(frozen=True)
class Region:
    """Where atoms are placed at random.

    **Attributes:**

    - `template`: positions of all atoms, of which those of `own` are replaced.
    - `own`: atoms that are placed.
    - `origin`, `edges`: the parallelepiped in which they are, and its vectors as rows.
    - `shift`: vectors along which it is moved at random, as a whole.
    - `cell`: the periodic cell, or `None` in free space.
    - `length`: diameter of atoms.
    """

    template: Float[np.ndarray, "atoms 3"]
    own: Bool[np.ndarray, " atoms"]
    origin: Float[np.ndarray, "3"]
    edges: Float[np.ndarray, "3 3"]
    shift: Float[np.ndarray, "3 3"]
    cell: Cell | None
    length: float

    @classmethod
    def around(
        cls, template: Atoms, own: Bool[np.ndarray, " atoms"], length: float
    ) -> Region:
        """The region for atoms in free space, in a periodic cell, or above a slab.

        **Raises:** `ValueError` if the cell of a slab is too small for the atoms.
        """
        volume = LOOSENESS * np.sum(own) * length**3 / 2**0.5
        found = get_cell(template)
        cell = _to_cell(found)
        nothing, points = np.zeros((3, 3)), template.get_positions()
        if cell is None:
            edge = volume ** (1 / 3)
            origin, edges = np.full(3, -edge / 2), np.eye(3) * edge
            return cls(points, own, origin, edges, nothing, None, length)
        if np.all(own):
            edges = np.asarray(template.cell, float)
            return cls(points, own, np.zeros(3), edges, nothing, cell, length)
        surface = np.asarray(template.cell, float)[:2]
        normal = np.cross(*surface)
        area = np.linalg.norm(normal)
        third = np.asarray(template.cell, float)[2]
        normal = normal / area * (-1 if normal @ third < 0 else 1)
        height = LAYERS * length
        widths = np.linalg.norm(surface, axis=1)
        side = min((volume / height) ** 0.5, *widths)
        height = volume / min(side**2, area)
        free = np.inf
        if template.pbc[2]:
            free = third @ normal - np.ptp(points[~own] @ normal) - 2 * GAP * length
        if height > min(4 * LAYERS * length, free):
            raise ValueError(
                f"{np.sum(own)} atoms have no room above a slab of {area:.1f} square "
                "angstrom: take a larger cell"
            )
        edges = np.array([*(surface / widths[:, None] * side), normal * height])
        top = np.max(points[~own] @ normal) + GAP * length
        return cls(
            points, own, normal * top, edges, np.array([*surface, 0 * normal]), cell,
            length,
        )  # fmt: skip


def draw_starts(
    region: Region, key: PRNGKeyArray, starts: int
) -> Float[np.ndarray, "starts atoms 3"]:
    """Draw positions uniformly in the region, and push them apart as soft spheres.

    The start of a number does not depend on how many there are.
    """
    others = region.template[~region.own]
    arrays = (region.origin, region.edges, region.shift, others, region.length)
    origin, edges, shift, others, length = map(jnp.asarray, arrays)
    drawn = _draw(
        key,
        jnp.arange(starts),
        int(np.sum(region.own)),
        (origin, edges, shift, others / length),
        length,
        region.cell,
    )
    positions = np.repeat(region.template[None], starts, axis=0)
    positions[:, region.own] = np.asarray(drawn)
    return positions


@eqx.filter_jit
def _draw(key, numbers, count, region, length, cell):
    origin, edges, shift, others = region
    if cell is not None:
        cell = eqx.tree_at(lambda c: c.vectors, cell, cell.vectors / length)

    def draw_one(number):
        where_key, points_key = jax.random.split(jax.random.fold_in(key, number))
        where = origin + jax.random.uniform(where_key, (3,)) @ shift
        fractions = jax.random.uniform(points_key, (count, 3))
        points = (where + fractions @ edges) / length

        def relax(_, points):
            return points - RATE * jax.grad(_overlap)(points, others, cell)

        return length * jax.lax.fori_loop(0, STEPS, relax, points)

    return jax.lax.map(draw_one, numbers)


def _overlap(
    points: Float[Array, "n 3"], others: Float[Array, "m 3"], cell: Cell | None
) -> Float[Array, ""]:
    """Energy of soft spheres of diameter 1, of which `others` do not move."""
    count = len(points)
    vectors = points[:, None] - jnp.concatenate([points, others])
    if cell is not None:
        vectors = cell.find_nearest_images(vectors)
    same = jnp.eye(count, len(vectors[0]), dtype=bool)
    squared = jnp.sum(vectors**2, axis=-1)
    # Atoms on one point have no direction in which they are pushed.
    distances = jnp.sqrt(jnp.where(same | (squared < 1e-12), 1.0, squared))
    twice = jnp.where(jnp.arange(len(vectors[0])) < count, 0.5, 1.0)
    return jnp.sum(twice * jnp.maximum(1 - distances, 0) ** 2 / 2)


def _to_cell(found: np.ndarray | Cell | None) -> Cell | None:
    if found is None or isinstance(found, Cell):
        return found
    return Cell(jnp.asarray(np.diag(found)), (True, True, True))
