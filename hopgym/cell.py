"""Periodic cells of any shape."""

from __future__ import annotations

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


class Cell(eqx.Module):
    """A cell of any shape that is periodic along one, two or three of its vectors.

    **Arguments:**

    - `vectors`: `Float[Array, "3 3"]`, cell vectors as rows. Those along which it is
      periodic must be Minkowski-reduced; the others must be unit vectors perpendicular
      to all others. [`hopgym.chemistry.ZooOptimizer`][] makes such cells.
    - `periodic`: whether it is periodic along each of the vectors.
    """

    vectors: Float[Array, "3 3"]
    periodic: tuple[bool, bool, bool] = eqx.field(static=True)

    def get_fractions(self, positions: Float[Array, "*n 3"]) -> Float[Array, "*n 3"]:
        """Coordinates with respect to the cell vectors."""
        return _multiply(positions, jnp.linalg.inv(self.vectors))

    def get_positions(self, fractions: Float[Array, "*n 3"]) -> Float[Array, "*n 3"]:
        """Positions with the given coordinates with respect to the cell vectors."""
        return _multiply(fractions, self.vectors)

    def find_nearest_images(
        self, displacements: Float[Array, "*n 3"]
    ) -> Float[Array, "*n 3"]:
        """The shortest periodic image of each displacement.

        In a Minkowski-reduced cell it is among the neighbours of the image with the
        smallest fractional coordinates. P. Q. Nguyen and D. Stehlé, ACM Trans.
        Algorithms 5, 46 (2009); as `ase.geometry.find_mic`.
        """
        cells = jnp.round(self.get_fractions(displacements))
        cells = jnp.where(jnp.asarray(self.periodic), cells, 0)
        around = [(-1, 0, 1) if periodic else (0,) for periodic in self.periodic]
        neighbours = np.array(list(itertools.product(*around)))
        shifts = self.get_positions(jnp.asarray(neighbours, displacements.dtype))

        def choose(k, shortest):
            image = first + shifts[k]
            is_shorter = _square(image) < _square(shortest)
            return jnp.where(is_shorter, image, shortest)

        first = displacements - self.get_positions(cells)
        return jax.lax.fori_loop(0, len(neighbours), choose, first)


def _multiply(vectors: Array, matrix: Array) -> Array:
    return jnp.matmul(vectors, matrix, precision=jax.lax.Precision.HIGHEST)


def _square(vectors: Array) -> Array:
    return jnp.sum(vectors**2, axis=-1, keepdims=True)
