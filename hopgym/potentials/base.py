"""What every potential is: energy and gradient of one replica in one pass."""

from __future__ import annotations

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

# Positions beyond this are moved to it before distances are formed, so that
# squared distances stay finite in float32 (whose largest number is 3.4e38).
POSITION_LIMIT = 1e15

# Squared distance, in units of the potential, of pairs that do not interact.
FAR = 1e9

# Matrices of pairs have a multiple of this many rows and columns: compilers leave the
# rest of a row to scalar code.
LANES = 8

Positions = Float[Array, "atoms 3"]
Padded = Float[Array, "padded 3"]
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

        Arguments as in [`hopgym.potentials.AbstractPotential.energy_and_gradient`][].
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


def padded(positions: Positions) -> Padded:
    """Positions with phantom atoms up to a multiple of `LANES`, at the origin."""
    return jnp.pad(positions, ((0, -positions.shape[0] % LANES), (0, 0)))


def differences(positions: Positions) -> tuple[Array, Array, Array]:
    """x_i - x_j, y_i - y_j, z_i - z_j as three matrices `(atoms, atoms)`."""
    x, y, z = positions.T
    return x[:, None] - x, y[:, None] - y, z[:, None] - z


def squared_distances(positions: Padded, atoms: int) -> Float[Array, "padded padded"]:
    """Squared distances; about `FAR` on the diagonal and from `atoms` on."""
    dx, dy, dz = differences(positions)
    mask = np.eye(positions.shape[0])
    mask[atoms:] = mask[:, atoms:] = 1
    return dx * dx + dy * dy + dz * dz + jnp.asarray(FAR * mask, positions.dtype)


def row_sums(matrix: Float[Array, "rows columns"]) -> Float[Array, " rows"]:
    """Sums over neighbours, as a product, which XLA vectorises on CPUs."""
    return dot(matrix, jnp.ones((matrix.shape[1], 1), matrix.dtype))[:, 0]


def central_gradient(
    weights: Float[Array, "atoms atoms"], positions: Positions
) -> Positions:
    """sum_j w_ij (r_i - r_j) for symmetric weights, as one matrix product.

    Rounding grows with the distance of an atom from the mean of all, in units of the
    distances to its neighbours: it matters for fragments that are far apart.
    """
    ones = jnp.ones((positions.shape[0], 1), positions.dtype)
    sums = dot(weights, jnp.concatenate([positions, ones], axis=1))
    return sums[:, 3:] * positions - sums[:, :3]


def cored_distances(squared: Array, core: float | Array) -> Array:
    """Distances with a soft core.

    For r >= core it is r itself. Inside it is core/2 + r^2 / (2 core): once
    continuously differentiable, never zero, so that no function of it is singular.
    Its gradient is the difference vector divided by the greater of it and core.
    """
    # (core^2 + r^2)^2 = 4 core^2 r^2 + (core^2 - r^2)^2. One square root at the very
    # end: XLA keeps the results of such operations and recomputes all others.
    inside = jnp.maximum(core * core - squared, 0) * (0.5 / core)
    return jnp.sqrt(squared + inside * inside)


# 2^x on [-1/2, 1/2] to the last digit of float32.
_EXP2 = np.polynomial.Chebyshev.interpolate(np.exp2, 5, domain=[-0.5, 0.5]).convert(
    kind=np.polynomial.Polynomial
)
_ROUNDER = np.float32(1.5 * 2**23)  # x + this has round(x) in its last bits
_BIAS = 127  # of the exponent of a float32, which starts at bit 23


@jax.custom_jvp
def power_of_two(x: Array) -> Array:
    """2^x; in float32 faster than XLA's on CPUs, and kept within 2^-126 .. 2^126."""
    if x.dtype != jnp.float32:
        return jnp.exp2(x)
    power = jnp.clip(x, 1 - _BIAS, _BIAS - 1)
    bits = jax.lax.bitcast_convert_type(power + _ROUNDER, jnp.int32)
    whole = bits - _ROUNDER.view(np.int32)
    fraction = power - whole.astype(jnp.float32)
    mantissa = jnp.full_like(x, np.float32(_EXP2.coef[-1]))
    for coefficient in _EXP2.coef[-2::-1]:
        mantissa = mantissa * fraction + np.float32(coefficient)
    return mantissa / jax.lax.bitcast_convert_type((_BIAS - whole) << 23, jnp.float32)


@power_of_two.defjvp
def _power_of_two_jvp(primals, tangents):
    value = power_of_two(primals[0])
    return value, value * (math.log(2) * tangents[0])


def exponential(x: Array) -> Array:
    """e^x by [`power_of_two`][hopgym.potentials.base.power_of_two]."""
    return power_of_two(x * (1 / math.log(2)))
