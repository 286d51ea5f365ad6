"""Gupta potential of one or two metals: second-moment tight binding.

Gupta, Phys. Rev. B 23, 6265 (1981); Cleri and Rosato, Phys. Rev. B 48, 22 (1993);
Learn2Hop, Eq. 6, whose printed sums over j > i are sums over all neighbours.
"""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hopgym._checks import Rule, check_fields, check_number
from hopgym._converters import to_float
from hopgym.potentials._fast_exp import fast_exp2
from hopgym.potentials._pair_sums import (
    PaddedPositions,
    central_gradient,
    centre,
    matmul,
    pad,
    soften_distances,
    squared_distances,
    sum_rows,
)
from hopgym.potentials.base import (
    ENERGY,
    LENGTH,
    SOFT_CORE,
    AbstractAlloyPotential,
    AtomEnergies,
    Box,
    Energy,
    Positions,
    Species,
    check_free_space,
)
from hopgym.potentials.kernel import AbstractKernelPotential, Kernel

# Lower bound of the squared bond energy, which vanishes for an isolated atom. Its
# -3/2 power, which occurs in derivatives, must be finite in float32.
MIN_DENSITY = 1e-20

# Bounds of p and q: exponentials of overlapping atoms stay finite in float32.
MAX_P, MAX_Q = 40, 20

Table = Float[Array, "species species"]


@jax.custom_jvp
def _inverse_root(density: Float[Array, " padded"]) -> Float[Array, " padded"]:
    """1 / sqrt(density), of at least `MIN_DENSITY`."""
    return jax.lax.rsqrt(jnp.maximum(density, MIN_DENSITY))


@_inverse_root.defjvp
def _inverse_root_jvp(primals, tangents):
    # -1/2 density^(-3/2), one factor at a time: of an isolated atom, whose density is
    # about `MIN_DENSITY`, the powers that occur in second derivatives overflow.
    density, root = primals[0], _inverse_root(primals[0])
    change = jnp.where(density > MIN_DENSITY, tangents[0], 0)
    return root, -0.5 * (root * (root * (root * change)))


class Gupta(AbstractKernelPotential, AbstractAlloyPotential):
    """sum_i { sum_j A exp[-p (r/d0 - 1)] - sqrt(sum_j xi^2 exp[-2 q (r/d0 - 1)]) }.

    Sums run over all j != i; A, xi, p, q and d0 depend on the species of i and j.

    **Arguments:**

    - `a`: repulsion A, `Float[Array, "species species"]`, symmetric, in energy units,
      between 1e-25 and 1e9.
    - `xi`: hopping integral, of the same shape, in energy units, in the same range.
    - `p`, `q`: inverse ranges, of the same shape, dimensionless, at most 40 and 20.
    - `d0`: nearest-neighbour distance of the bulk, of the same shape, in length units,
      between 1e-10 and 1e10.
    - `core`: radius within which distances are softened, in units of the smallest d0,
      between 0.001 and 0.9.

    **Raises:** `ValueError` for parameters outside of these ranges, or tables that are
    not symmetric or of different shapes.
    """

    a: Table = eqx.field(converter=to_float)
    xi: Table = eqx.field(converter=to_float)
    p: Table = eqx.field(converter=to_float)
    q: Table = eqx.field(converter=to_float)
    d0: Table = eqx.field(converter=to_float)
    core: Float[Array, ""] = eqx.field(converter=to_float, default=0.1)

    def __check_init__(self):
        names = ("a", "xi", "p", "q", "d0")
        shapes = [getattr(self, name).shape for name in names]
        if len(set(shapes)) > 1 or shapes[0][-2:] != shapes[0][-1:] * 2:
            raise ValueError(
                "Gupta: a, xi, p, q and d0 must be tables (species, species) of the "
                f"same shape, got {', '.join(map(str, shapes))}"
            )
        symmetric = Rule("symmetric", lambda x: x == np.swapaxes(x, -1, -2))
        for name in names:
            check_number(f"Gupta: {name}", getattr(self, name), symmetric)
        check_fields(
            self,
            a=ENERGY,
            xi=ENERGY,
            p=Rule(f"above 0 and at most {MAX_P}", lambda x: (x > 0) & (x <= MAX_P)),
            q=Rule(f"above 0 and at most {MAX_Q}", lambda x: (x > 0) & (x <= MAX_Q)),
            d0=LENGTH,
            core=SOFT_CORE,
        )

    @property
    def kinds(self) -> int:
        return self.d0.shape[-1]

    def check_box(self, box: Box | None) -> None:
        check_free_space(self, box)

    def _exponents(self) -> tuple[Table, Table, Table, Table]:
        """Coefficients of the terms of each sum, written as exp(start - decay r).

        Returns start and decay of the repulsion, then of the density.
        """
        p, q = self.p / self.d0, 2 * self.q / self.d0
        return self.p + jnp.log(self.a), p, 2 * (self.q + jnp.log(self.xi)), q

    @property
    def _length(self) -> Float[Array, ""]:
        return jnp.min(self.d0)

    @property
    def core_radius(self) -> Float[Array, ""]:
        """Radius of the core, in the unit of d0."""
        return self.core * self._length

    def _pairs(self, positions: PaddedPositions, species: Species):
        """Repulsion and density terms of all pairs, their decays, and the distances."""
        atoms = species.shape[0]
        kinds = self.kinds
        all_species = jnp.pad(species, (0, positions.shape[0] - atoms))
        one_hot = jax.nn.one_hot(all_species, kinds, dtype=positions.dtype)

        def expand(table: Table) -> Array:
            return (
                table[0, 0] if kinds == 1 else matmul(matmul(one_hot, table), one_hot.T)
            )

        distances = soften_distances(
            squared_distances(positions, atoms, self._length), self.core_radius
        )
        start_a, p, start_xi, q = self._exponents()
        bits = 1 / math.log(2)
        repulsion, density = (
            fast_exp2(expand(start * bits) - expand(decay * bits) * distances)
            for start, decay in ((start_a, p), (start_xi, q))
        )
        return repulsion, density, expand(p), expand(q), distances

    def _reduce(self, repulsion: Array, density: Array) -> tuple[Array, Array]:
        """Energy of each atom, and 1 / sqrt(density) of each."""
        densities = sum_rows(density)
        inverse_roots = _inverse_root(densities)
        return sum_rows(repulsion) - densities * inverse_roots, inverse_roots

    def has_kernel(self, atoms: int) -> bool:
        return self.kinds <= 2

    def _kernel(self, species: Species, box: Box | None) -> Kernel:
        log_a, p, log_xi, q = self._exponents()
        operands = {"species": species, "log_a": log_a, "p": p, "log_xi": log_xi}
        operands |= {"q": q, "core": self.core_radius, "length": self._length}
        attributes = {"kinds": self.kinds, "smallest_density": MIN_DENSITY}
        return Kernel("gupta", operands, attributes)

    def _energy_and_gradient_jax(
        self, positions: Positions, species: Species, box: Box | None
    ) -> tuple[Energy, Positions]:
        atoms = positions.shape[0]
        centred = pad(centre(positions, self._length))
        repulsion, density, p, q, distances = self._pairs(centred, species)
        energies, roots = self._reduce(repulsion, density)
        half = 0.5 * roots
        slope = q * density * (half[:, None] + half) - 2 * p * repulsion
        weights = slope / jnp.maximum(distances, self.core_radius)
        gradient = central_gradient(weights, centred)[:atoms]
        return jnp.sum(energies[:atoms]), gradient

    def _atom_energies_jax(
        self, positions: Positions, species: Species, box: Box | None
    ) -> AtomEnergies:
        centred = pad(centre(positions, self._length))
        repulsion, density, *_ = self._pairs(centred, species)
        return self._reduce(repulsion, density)[0][: positions.shape[0]]
