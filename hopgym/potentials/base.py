"""What every potential is: energy and gradient of one replica in one pass."""

from __future__ import annotations

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

# Positions beyond this are moved to it before distances are formed, so that
# squared distances stay finite in float32 (whose largest number is 3.4e38).
POSITION_LIMIT = 1e15

Positions = Float[Array, "atoms 3"]
Species = Int[Array, " atoms"]
Box = Float[Array, "3"]
Energy = Float[Array, ""]


class AbstractPotential(eqx.Module):
    """A potential-energy surface.

    All methods take one replica; `jax.vmap` gives batches. Parameters are array
    leaves, so they can be batched and differentiated as well. `species` is an
    integer array, so compositions can be batched without recompiling.

    A potential is finite for every finite input. Within a small core radius the
    energy goes on rising towards coincidence with a finite slope, so an overlap
    of atoms is the worst that can happen and never the best.
    """

    @abc.abstractmethod
    def check_box(self, box: Box | None) -> None:
        """Raise `ValueError` if the potential is not defined for such a box.

        Looks at the values of `box`, so it is called outside of `jax.jit`: when a
        system is made.
        """

    @abc.abstractmethod
    def energy_and_gradient(
        self, positions: Positions, species: Species, box: Box | None
    ) -> tuple[Energy, Positions]:
        """Energy and its gradient with respect to the positions, in one pass.

        **Arguments:**

        - `positions`: `Float[Array, "atoms 3"]`, in the potential's length unit.
        - `species`: `Int[Array, "atoms"]`, index of each atom's species.
        - `box`: `Float[Array, "3"]`, edges of the periodic box, or `None` in free
          space.

        **Returns:** the energy, and the gradient (not the force) of the same shape
        as `positions`.
        """

    @abc.abstractmethod
    def atom_energies(
        self, positions: Positions, species: Species, box: Box | None
    ) -> Float[Array, " atoms"]:
        """Energy of each atom; they sum to the total energy.

        Arguments as in [`AbstractPotential.energy_and_gradient`][].
        """


def check_free_space(potential: AbstractPotential, box: Box | None) -> None:
    """Raise `ValueError` if there is a box; for potentials without a cutoff."""
    if box is not None:
        raise ValueError(
            f"{type(potential).__name__} has no cutoff and is defined in free space "
            "only: use box=None"
        )


def dot(a: Array, b: Array) -> Array:
    """Matrix product in full precision (GPUs would use TF32 by default)."""
    return jnp.dot(a, b, precision=jax.lax.Precision.HIGHEST)


def centred(positions: Positions) -> Positions:
    """Positions about their mean, bounded by `POSITION_LIMIT`.

    Forces are formed as differences of sums over neighbours; about the origin
    these sums keep their digits.
    """
    bounded = jnp.clip(positions, -POSITION_LIMIT, POSITION_LIMIT)
    return bounded - jnp.mean(bounded, axis=0)


def differences(positions: Positions) -> tuple[Array, Array, Array]:
    """x_i - x_j, y_i - y_j, z_i - z_j as three matrices `(atoms, atoms)`."""
    x, y, z = positions.T
    return x[:, None] - x, y[:, None] - y, z[:, None] - z


def squared_distances(positions: Positions) -> Float[Array, "atoms atoms"]:
    """Squared distances; the diagonal is so large that it does not interact."""
    dx, dy, dz = differences(positions)
    diagonal = jnp.eye(positions.shape[0], dtype=positions.dtype) * POSITION_LIMIT
    return dx * dx + dy * dy + dz * dz + diagonal


def row_sums(matrix: Float[Array, "rows columns"]) -> Float[Array, " rows"]:
    """Sums over neighbours, as a product, which XLA vectorises on CPUs."""
    return dot(matrix, jnp.ones((matrix.shape[1], 1), matrix.dtype))[:, 0]


def central_gradient(
    weights: Float[Array, "atoms atoms"], positions: Positions
) -> Positions:
    """sum_j w_ij (r_i - r_j) for symmetric weights, as one matrix product."""
    ones = jnp.ones((positions.shape[0], 1), positions.dtype)
    sums = dot(weights, jnp.concatenate([positions, ones], axis=1))
    return sums[:, 3:] * positions - sums[:, :3]


def cored_distances(squared: Array, core: float | Array) -> tuple[Array, Array]:
    """Distance with a soft core, and its derivative by the difference vector.

    For r >= core it is r itself. Inside it is core/2 + r^2 / (2 core): once
    continuously differentiable, never zero, so that no function of it is
    singular.

    **Returns:** the distance, and 1/max(r, core), which times the difference
    vector is the distance's gradient.
    """
    outside = jnp.maximum(squared, core * core)
    inverse = jax.lax.rsqrt(outside)
    return 0.5 * (squared + outside) * inverse, inverse
