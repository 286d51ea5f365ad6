"""Radial symmetry functions, the neighbourhood that an atom sees.

Behler and Parrinello, Phys. Rev. Lett. 98, 146401 (2007); Learn2Hop, section 3.1.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hopgym import native
from hopgym.context import Context

ETAS = (0.0009, 0.01, 0.02, 0.035, 0.06, 0.1, 0.2, 0.4)
CUTOFF = 2.5
LANES = 8  # rows of pairs are a multiple of this, so that compilers vectorise them
FAR = 1e9  # squared distance of what is no pair


def _cutoff(t: np.ndarray) -> np.ndarray:
    """(1 + cos(pi d / c)) / 2 as a function of t = 2 d^2 / c^2 - 1."""
    return 0.5 * (1 + np.cos(np.pi * np.sqrt((t + 1) / 2)))


def _polynomial(function, degree: int) -> np.ndarray:
    """Coefficients, lowest first, of the interpolating polynomial on [-1, 1]."""
    fitted = np.polynomial.Chebyshev.interpolate(function, degree)
    coefficients = fitted.convert(kind=np.polynomial.Polynomial).coef
    return np.pad(coefficients, (0, degree + 1 - len(coefficients)))


# Degrees of the polynomials for the cutoff and for the Gaussians, by precision.
_DEGREES = {jnp.dtype(jnp.float32): (7, 7), jnp.dtype(jnp.float64): (18, 15)}


@functools.cache
def polynomials(dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients in t of the cutoff, and of the Gaussians as columns, lowest first.

    **Arguments:**

    - `dtype`: in whose precision they are exact.
    """
    cutoff_degree, degree = _DEGREES[dtype]
    gaussians = [
        _polynomial(lambda t, eta=eta: np.exp(-eta * CUTOFF**2 * (t + 1) / 2), degree)
        for eta in ETAS
    ]
    return _polynomial(_cutoff, cutoff_degree), np.stack(gaussians, axis=1)


def radial_functions(
    positions: Float[Array, "atoms 3"], context: Context, *, unlike: bool
) -> Float[Array, "atoms functions"]:
    """sum_j exp(-eta d_ij^2) Gamma(d_ij) for the eight values of eta.

    Gamma(d) = (1 + cos(pi d / c)) / 2 within the cutoff c = 2.5, else 0. As polynomials
    in t = 2 d^2 / c^2 - 1 both factors are exact to the precision of the positions, and
    the eight sums are combinations of sum_j Gamma t^k.

    **Arguments:**

    - `positions`: in units of the system's length (literally the paper's cutoff of
      2.5 angstrom would leave out all neighbours in a metal).
    - `context`: whose box gives the nearest images, and whose species are compared.
    - `unlike`: whether to add the same sums over neighbours of another species.

    **Returns:** 8 columns for all neighbours, then with `unlike` 8 for the others.
    """
    kernel = functools.partial(_by_kernel, unlike=unlike)
    formulas = functools.partial(_by_formulas, unlike=unlike)
    return native.dispatch(kernel, formulas, positions, context)


def _by_kernel(
    positions: Float[Array, "atoms 3"], context: Context, *, unlike: bool
) -> Float[Array, "atoms functions"]:
    dtype = positions.dtype
    kinds = 2 if unlike else 1
    shape = positions.shape[0], kinds * len(ETAS)
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
    """Constants of the symmetry functions, by the names that kernels have for them."""
    cutoff, gaussians = polynomials(dtype)
    return {
        "kinds": kinds,
        "periodic": context.box is not None,
        "cutoff": cutoff,
        "gaussians": gaussians.ravel(),
        "cutoff_radius": CUTOFF,
    }


def _by_formulas(
    positions: Float[Array, "atoms 3"], context: Context, *, unlike: bool
) -> Float[Array, "atoms functions"]:
    atoms = positions.shape[0]
    dtype = positions.dtype
    cutoff, table = polynomials(dtype)
    degree = len(table) - 1
    t = _scaled_distances(positions, context)
    size = t.shape[0]
    gamma = jnp.zeros_like(t)
    for coefficient in cutoff[::-1]:
        gamma = gamma * t + coefficient
    # What is not kept is computed anew wherever it is used.
    kept = jax.lax.optimization_barrier((t, jnp.where(t < 1, gamma, 0)))
    weights = [kept[1]]
    if unlike:
        species = jnp.pad(context.species, (0, size - atoms))
        weights.append(jnp.where(species[:, None] != species, kept[1], 0))

    def some_rows(i, sums):
        """Adds a few neighbours of all atoms: what memory near the core can hold."""
        rows = [
            jax.lax.dynamic_slice_in_dim(x, i * LANES, LANES)
            for x in (kept[0], *weights)
        ]
        powers = _powers(rows[0], degree + 1)
        return tuple(
            total + jnp.sum(powers * weight, axis=1)
            for total, weight in zip(sums, rows[1:], strict=True)
        )

    none = jnp.zeros((degree + 1, size), dtype)
    sums = jax.lax.fori_loop(0, size // LANES, some_rows, tuple(none for _ in weights))
    precise = jax.lax.Precision.HIGHEST
    functions = [jnp.matmul(x.T, table.astype(dtype), precision=precise) for x in sums]
    return jnp.concatenate(functions, axis=1)[:atoms]


def _scaled_distances(
    positions: Float[Array, "atoms 3"], context: Context
) -> Float[Array, "size size"]:
    """2 d^2 / c^2 - 1, and 1 beyond the cutoff and for what is no pair."""
    atoms = positions.shape[0]
    size = atoms + -atoms % LANES
    no_pair = np.eye(size, dtype=bool)
    no_pair[atoms:] = no_pair[:, atoms:] = True
    squared = jnp.asarray(np.where(no_pair, FAR, 0), positions.dtype)
    for axis, x in enumerate(jnp.pad(positions, ((0, size - atoms), (0, 0))).T):
        d = x[:, None] - x
        if context.box is not None:
            edge = context.box[axis] / context.length
            d = d - edge * jnp.round(d / edge)
        squared = squared + d * d
    return jnp.minimum(squared * (2 / CUTOFF**2) - 1, 1)


def _powers(t: Array, count: int) -> Array:
    """t^k for k < count, a power of two: a product of t, t^2, t^4, ... for each."""
    exponents = np.arange(count)[:, None, None]
    powers = jnp.ones((), t.dtype)
    for bit in range(count.bit_length() - 1):
        powers = powers * jnp.where((exponents >> bit) & 1 == 1, t, 1)
        t = t * t
    return powers
