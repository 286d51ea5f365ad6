"""Radial symmetry functions, which describe the environment of an atom.

Behler and Parrinello, Phys. Rev. Lett. 98, 146401 (2007); Learn2Hop, section 3.1.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hopgym import native
from hopgym.cell import Cell
from hopgym.context import Context

ETAS = (0.0009, 0.01, 0.02, 0.035, 0.06, 0.1, 0.2, 0.4)
CUTOFF = 2.5
ROW_MULTIPLE = 8  # rows are padded to a multiple of this, so that loops vectorise
FAR = 1e9  # squared distance given to padding and to an atom with itself


def _cutoff_function(t: np.ndarray) -> np.ndarray:
    """(1 + cos(pi d / c)) / 2 as a function of t = 2 d^2 / c^2 - 1."""
    return 0.5 * (1 + np.cos(np.pi * np.sqrt((t + 1) / 2)))


def _interpolate(function, degree: int) -> np.ndarray:
    """Interpolate on [-1, 1] by a polynomial: its coefficients, lowest first."""
    fitted = np.polynomial.Chebyshev.interpolate(function, degree)
    coefficients = fitted.convert(kind=np.polynomial.Polynomial).coef
    return np.pad(coefficients, (0, degree + 1 - len(coefficients)))


# Degrees of the polynomials for the cutoff and for the Gaussians, by precision.
_DEGREES = {jnp.dtype(jnp.float32): (7, 7), jnp.dtype(jnp.float64): (18, 15)}


@functools.cache
def fit_polynomials(dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Fit polynomials in t to the cutoff function and to the Gaussians.

    **Arguments:**

    - `dtype`: the precision to which the polynomials are exact.

    **Returns:** coefficients of the cutoff, and of the Gaussians as columns, lowest
    first.
    """
    cutoff_degree, degree = _DEGREES[dtype]
    gaussians = [
        _interpolate(lambda t, eta=eta: np.exp(-eta * CUTOFF**2 * (t + 1) / 2), degree)
        for eta in ETAS
    ]
    return _interpolate(_cutoff_function, cutoff_degree), np.stack(gaussians, axis=1)


def radial_functions(
    positions: Float[Array, "atoms 3"], context: Context, *, unlike: bool
) -> Float[Array, "atoms functions"]:
    """sum_j exp(-eta d_ij^2) Gamma(d_ij) for the eight values of eta.

    Gamma(d) = (1 + cos(pi d / c)) / 2 within the cutoff c = 2.5, else 0. Both factors
    are evaluated as polynomials in t = 2 d^2 / c^2 - 1, which are exact to the
    precision of the positions; the eight sums are linear combinations of sum_j Gamma
    t^k.

    **Arguments:**

    - `positions`: in the system's unit of length (a cutoff of 2.5 angstrom, as printed
      in the paper, would exclude all neighbours in a metal).
    - `context`: provides the box, for nearest images, and the species.
    - `unlike`: whether to append the same sums over neighbours of other species.

    **Returns:** 8 columns, or 16 with `unlike`.
    """
    kernel = functools.partial(_radial_functions_native, unlike=unlike)
    reference = functools.partial(_radial_functions_jax, unlike=unlike)
    if isinstance(context.box, Cell):  # the kernel has rectangular boxes only
        return reference(positions, context)
    return native.dispatch(kernel, reference, positions, context)


def _radial_functions_native(
    positions: Float[Array, "atoms 3"], context: Context, *, unlike: bool
) -> Float[Array, "atoms functions"]:
    dtype = positions.dtype
    kinds = 2 if unlike else 1
    shape = positions.shape[0], kinds * len(ETAS)
    assert not isinstance(context.box, Cell)
    box = jnp.zeros(3) if context.box is None else context.box / context.length
    found = native.call(
        "radial_functions",
        {"functions": jax.ShapeDtypeStruct(shape, dtype)},
        {"positions": positions, "species": context.species, "box": box},
        kernel_constants(dtype, kinds, context),
    )
    return found["functions"]


def kernel_constants(
    dtype: np.dtype, kinds: int, context: Context
) -> dict[str, native.Attribute]:
    """Constants of the symmetry functions, by their names in kernels."""
    cutoff, gaussians = fit_polynomials(dtype)
    return {
        "kinds": kinds,
        "periodic": context.box is not None,
        "cutoff": cutoff,
        "gaussians": gaussians.ravel(),
        "cutoff_radius": CUTOFF,
    }


def _radial_functions_jax(
    positions: Float[Array, "atoms 3"], context: Context, *, unlike: bool
) -> Float[Array, "atoms functions"]:
    atoms = positions.shape[0]
    dtype = positions.dtype
    cutoff, table = fit_polynomials(dtype)
    degree = len(table) - 1
    t = _scale_distances(positions, context)
    size = t.shape[0]
    gamma = jnp.zeros_like(t)
    for coefficient in cutoff[::-1]:
        gamma = gamma * t + coefficient
    # Without a barrier, XLA recomputes them wherever they are used.
    kept = jax.lax.optimization_barrier((t, jnp.where(t < 1, gamma, 0)))
    weights = [kept[1]]
    if unlike:
        species = jnp.pad(context.species, (0, size - atoms))
        weights.append(jnp.where(species[:, None] != species, kept[1], 0))

    def add_rows(i, sums):
        """Add a few neighbours of all atoms, few enough to fit in the cache."""
        rows = [
            jax.lax.dynamic_slice_in_dim(x, i * ROW_MULTIPLE, ROW_MULTIPLE)
            for x in (kept[0], *weights)
        ]
        powers = _raise_to_powers(rows[0], degree + 1)
        return tuple(
            total + jnp.sum(powers * weight, axis=1)
            for total, weight in zip(sums, rows[1:], strict=True)
        )

    zeros = tuple(jnp.zeros((degree + 1, size), dtype) for _ in weights)
    sums = jax.lax.fori_loop(0, size // ROW_MULTIPLE, add_rows, zeros)
    precise = jax.lax.Precision.HIGHEST
    functions = [jnp.matmul(x.T, table.astype(dtype), precision=precise) for x in sums]
    return jnp.concatenate(functions, axis=1)[:atoms]


def _scale_distances(
    positions: Float[Array, "atoms 3"], context: Context
) -> Float[Array, "size size"]:
    """2 d^2 / c^2 - 1, or 1 beyond the cutoff, for padding and on the diagonal."""
    atoms = positions.shape[0]
    size = atoms + -atoms % ROW_MULTIPLE
    no_pair = np.eye(size, dtype=bool)
    no_pair[atoms:] = no_pair[:, atoms:] = True
    squared = jnp.asarray(np.where(no_pair, FAR, 0), positions.dtype)
    padded = jnp.pad(positions, ((0, size - atoms), (0, 0)))
    if isinstance(context.box, Cell):
        d = (padded[:, None] - padded) * context.length
        d = context.box.find_nearest_images(d) / context.length
        squared = squared + jnp.sum(d * d, axis=-1)
        return jnp.minimum(squared * (2 / CUTOFF**2) - 1, 1)
    for axis, x in enumerate(padded.T):
        d = x[:, None] - x
        if context.box is not None:
            edge = context.box[axis] / context.length
            d = d - edge * jnp.round(d / edge)
        squared = squared + d * d
    return jnp.minimum(squared * (2 / CUTOFF**2) - 1, 1)


def _raise_to_powers(t: Array, count: int) -> Array:
    """t^k for k < `count`, a power of two, each as a product of t, t^2, t^4, ..."""
    exponents = np.arange(count)[:, None, None]
    powers = jnp.ones((), t.dtype)
    for bit in range(count.bit_length() - 1):
        powers = powers * jnp.where((exponents >> bit) & 1 == 1, t, 1)
        t = t * t
    return powers
