"""Stillinger-Weber potential of silicon in a periodic box.

Stillinger and Weber, Phys. Rev. B 31, 5262 (1985); Learn2Hop, Eq. 7, which omits the
factor of the second bond in theta_3.
"""

from __future__ import annotations

import itertools
import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hopgym._checks import (
    NOT_NEGATIVE,
    POSITIVE,
    between,
    check_fields,
    check_integer,
    is_known,
)
from hopgym._converters import to_float
from hopgym.potentials._fast_exp import fast_exp
from hopgym.potentials._pair_sums import (
    FAR_SQUARED,
    pair_differences,
    soften_distances,
    sum_rows,
)
from hopgym.potentials.base import (
    ENERGY,
    LENGTH,
    SOFT_CORE,
    AtomEnergies,
    Box,
    Energy,
    Positions,
    Species,
    limit_positions,
)
from hopgym.potentials.kernel import AbstractKernelPotential, Kernel

# Bonds are cut off at this fraction of the cutoff: beyond it every term has the factor
# exp(-1/(1 - r/cutoff)), which is smaller than the smallest float64.
CUTOFF_FRACTION = 0.9995

# Largest number of bonds per replica, periodic images included, for which the kernel
# is used: it stores them all, in 0.1 to 0.2 GB.
MAX_KERNEL_BONDS = 500_000

MAX_IMAGES = 10  # on each side; memory grows with its third power


class StillingerWeber(AbstractKernelPotential):
    """sum_{i<j} theta_2 + sum_i sum_{j<k} theta_3, within the cutoff a * sigma.

    theta_2 = A epsilon [B (sigma/r)^4 - 1] exp[sigma / (r - a sigma)]

    theta_3 = lambda epsilon (cos theta_jik + 1/3)^2 f(r_ij) f(r_ik) with
    f(r) = exp[gamma sigma / (r - a sigma)]

    Because the angular term is quadratic in the cosine, the sum over pairs of bonds
    is an exact function of moments of single bonds, M_k = sum_j f_j n_j^(k), where n_j
    is the unit vector of the bond:

    E_3 = (lambda epsilon / 2) sum_i [|M_2|^2 + 2/3 |M_1|^2 + M_0^2 / 9
    - sum_j f_j^2 (n_j.n_j + 1/3)^2].

    So the potential costs as much as a pair potential.

    **Arguments:**

    - `a`, `big_a`, `big_b`, `epsilon`, `sigma`, `strength` (lambda), `gamma`: the
      constants above; by default those of silicon, in eV and angstrom.
    - `core`: radius within which distances are softened, in units of sigma, between
      0.001 and 0.9.
    - `images`: number of periodic images on each side that are summed over, at most
      10: 0 if each edge of the box is at least twice the cutoff.

    **Raises:** `ValueError` for parameters that are not positive (`big_b` and
    `strength`: negative) or not finite, `a` outside of 1 to 10, or `core` or `images`
    outside of these ranges.
    """

    a: Float[Array, ""] = eqx.field(converter=to_float, default=1.8)
    big_a: Float[Array, ""] = eqx.field(converter=to_float, default=7.049556277)
    big_b: Float[Array, ""] = eqx.field(converter=to_float, default=0.6022245584)
    epsilon: Float[Array, ""] = eqx.field(converter=to_float, default=2.16826)
    sigma: Float[Array, ""] = eqx.field(converter=to_float, default=2.0951)
    strength: Float[Array, ""] = eqx.field(converter=to_float, default=21.0)
    gamma: Float[Array, ""] = eqx.field(converter=to_float, default=1.2)
    core: Float[Array, ""] = eqx.field(converter=to_float, default=0.1)
    images: int = eqx.field(static=True, default=0)

    def __check_init__(self):
        check_fields(
            self,
            a=between(1, 10),
            big_a=POSITIVE,
            big_b=NOT_NEGATIVE,
            epsilon=ENERGY,
            sigma=LENGTH,
            strength=NOT_NEGATIVE,
            gamma=POSITIVE,
            core=SOFT_CORE,
        )
        check_integer("StillingerWeber: images", self.images, 0, MAX_IMAGES)

    @property
    def cutoff(self) -> Float[Array, ""]:
        """Distance beyond which atoms do not interact."""
        return self.a * self.sigma

    @property
    def core_radius(self) -> Float[Array, ""]:
        """Radius of the core, in the unit of sigma."""
        return self.core * self.sigma

    def check_box(self, box: Box | None) -> None:
        if box is None:
            raise ValueError("StillingerWeber is periodic: it needs a box")
        if not is_known(self.cutoff):
            return
        reach = (self.images + 0.5) * float(box.min())
        if reach < float(self.cutoff):
            raise ValueError(
                f"a box with edges {box.tolist()} is smaller than twice the cutoff "
                f"{float(self.cutoff):g}: use StillingerWeber(images="
                f"{math.ceil(float(self.cutoff / box.min()) - 0.5)})"
            )

    def _bonds(
        self, positions: Positions, box: Box | None
    ) -> tuple[list[Array], Array, Array]:
        """Unit vectors and distances r of all bonds, and max(r, core).

        Matrices `(atoms, images * atoms)`, in units of sigma.
        """
        assert box is not None, "check_box refuses this"
        atoms = positions.shape[0]
        edges = box / self.sigma
        inverse_edges = 1 / edges
        scaled = limit_positions(positions, self.sigma) / self.sigma
        span = range(-self.images, self.images + 1)
        shifts = np.array(list(itertools.product(span, repeat=3)))
        vectors = []
        for axis, d in enumerate(pair_differences(scaled)):
            d = d - edges[axis] * jnp.round(d * inverse_edges[axis])
            if self.images:
                moved = d[:, None, :] + (edges[axis] * shifts[:, axis])[:, None]
                d = moved.reshape(atoms, -1)
            vectors.append(d)
        diagonal = np.zeros((atoms, len(shifts), atoms))
        diagonal[:, len(shifts) // 2] = np.eye(atoms) * FAR_SQUARED
        squared = sum(d * d for d in vectors) + jnp.asarray(
            diagonal.reshape(atoms, -1), positions.dtype
        )
        inside = jnp.minimum(squared, (CUTOFF_FRACTION * self.a) ** 2)
        distances = soften_distances(inside, self.core)
        outside = jnp.maximum(distances, self.core)
        return [d / outside for d in vectors], distances, outside

    def _radial(self, distances: Array) -> tuple[Array, Array, Array, Array]:
        """Bond function f, df/dr, pair energy, and its derivative."""
        u = 1 / (distances - self.a)
        f = fast_exp(self.gamma * u)
        tail = self.big_a * fast_exp(u)
        r2 = 1 / (distances * distances)
        r4 = self.big_b * r2 * r2
        pair = (r4 - 1) * tail
        d_pair = -4 * r4 / distances * tail - u * u * pair
        return f, -self.gamma * u * u * f, pair, d_pair

    def _moments(self, f: Array, units: list[Array]):
        first = [sum_rows(f * n) for n in units]
        second = {
            (k, m): sum_rows(f * units[k] * units[m])
            for k in range(3)
            for m in range(k, 3)
        }
        return sum_rows(f), first, second

    def _reduce(self, f, pair, units, zeroth, first, second):
        norm2 = sum((1 if k == m else 2) * value**2 for (k, m), value in second.items())
        norm1 = sum(value**2 for value in first)
        same = f * (sum(n * n for n in units) + 1 / 3)
        bonds = sum_rows(pair - self.strength * same * same)
        moments = norm2 + 2 / 3 * norm1 + zeroth**2 / 9
        return 0.5 * (bonds + self.strength * moments)

    def has_kernel(self, atoms: int) -> bool:
        bonds = atoms**2 * (2 * self.images + 1) ** 3
        return self.images == 0 or bonds <= MAX_KERNEL_BONDS

    def _kernel(self, species: Species, box: Box | None) -> Kernel:
        assert box is not None, "check_box refuses this"
        names = "a", "big_a", "big_b", "epsilon", "sigma", "strength", "gamma", "core"
        operands = {"box": box} | {name: getattr(self, name) for name in names}
        attributes = {"cut": CUTOFF_FRACTION, "images": self.images}
        return Kernel("stillinger_weber", operands, attributes)

    def _energy_and_gradient_jax(
        self, positions: Positions, species: Species, box: Box | None
    ) -> tuple[Energy, Positions]:
        units, distances, outside = self._bonds(positions, box)
        f, d_f, pair, d_pair = self._radial(distances)
        zeroth, first, second = self._moments(f, units)
        energies = self._reduce(f, pair, units, zeroth, first, second)

        # A bond enters the sums of both its atoms, in opposite directions: even moments
        # of the two are added, odd ones subtracted, and sums over rows suffice.
        def combine_ends(moment: Array, sign: int) -> Array:
            other = jnp.tile(moment, f.shape[1] // f.shape[0])
            return moment[:, None] + sign * other

        both = {axes: combine_ends(value, 1) for axes, value in second.items()}
        turned = [
            sum(both[min(k, m), max(k, m)] * units[m] for m in range(3))
            for k in range(3)
        ]
        shared = [combine_ends(value, -1) for value in first]
        quadratic = sum(t * n for t, n in zip(turned, units, strict=True))
        linear = sum(v * n for v, n in zip(shared, units, strict=True))
        norms = sum(n * n for n in units)
        same = f * (norms + 1 / 3)
        by_f = (
            quadratic
            + (2 / 3) * linear
            + combine_ends(zeroth, 1) / 9
            - 2 * same * (norms + 1 / 3)
        )
        # Outside the core a unit vector can turn but not change its length.
        projection = jnp.where(
            distances > self.core,
            2 * quadratic + (2 / 3) * linear - 4 * same * norms,
            0,
        )
        radial = outside * (self.strength * by_f * d_f + d_pair)
        # Quotients: XLA stores these, but would recompute a product three times.
        along = (radial - self.strength * f * (projection + 4 * same)) / outside
        across = self.strength * f / outside
        gradient = [
            sum_rows(along * n + across * (2 * t + (2 / 3) * v))
            for n, t, v in zip(units, turned, shared, strict=True)
        ]
        scale = self.epsilon / self.sigma
        return self.epsilon * jnp.sum(energies), jnp.stack(gradient, axis=1) * scale

    def _atom_energies_jax(
        self, positions: Positions, species: Species, box: Box | None
    ) -> AtomEnergies:
        units, distances, _ = self._bonds(positions, box)
        f, _, pair, _ = self._radial(distances)
        return self.epsilon * self._reduce(f, pair, units, *self._moments(f, units))
