"""Gupta potential of one or two metals: second-moment tight binding.

Gupta, Phys. Rev. B 23, 6265 (1981); Cleri and Rosato, Phys. Rev. B 48, 22 (1993);
Learn2Hop, Eq. 6, whose printed sums over j > i are sums over all neighbours.
"""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

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

Table = Float[Array, "species species"]


class Gupta(AbstractKernelPotential):
    """sum_i { sum_j A exp[-p (r/d0 - 1)] - sqrt(sum_j xi^2 exp[-2 q (r/d0 - 1)]) }.

    Sums run over all j != i; A, xi, p, q and d0 depend on the species of i and j.

    **Arguments:**

    - `a`: repulsion A, `Float[Array, "species species"]`, symmetric, in energy units.
    - `xi`: hopping integral, of the same shape, in energy units.
    - `p`, `q`: inverse ranges, of the same shape, dimensionless.
    - `d0`: nearest-neighbour distance of the bulk, of the same shape, in length units.
    - `core`: radius within which distances are softened, in units of the smallest d0.
    """

    a: Table = eqx.field(converter=to_float)
    xi: Table = eqx.field(converter=to_float)
    p: Table = eqx.field(converter=to_float)
    q: Table = eqx.field(converter=to_float)
    d0: Table = eqx.field(converter=to_float)
    core: Float[Array, ""] = eqx.field(converter=to_float, default=0.1)

    def check_box(self, box: Box | None) -> None:
        check_free_space(self, box)

    def _exponents(self) -> tuple[Table, Table, Table, Table]:
        """Coefficients of the terms of each sum, written as exp(start - decay r).

        Returns start and decay of the repulsion, then of the density.
        """
        p, q = self.p / self.d0, 2 * self.q / self.d0
        return self.p + jnp.log(self.a), p, 2 * (self.q + jnp.log(self.xi)), q

    @property
    def core_radius(self) -> Float[Array, ""]:
        """Radius of the core, in the unit of d0."""
        return self.core * jnp.min(self.d0)

    def _pairs(self, positions: PaddedPositions, species: Species):
        """Repulsion and density terms of all pairs, their decays, and the distances."""
        atoms = species.shape[0]
        kinds = self.d0.shape[0]
        all_species = jnp.pad(species, (0, positions.shape[0] - atoms))
        one_hot = jax.nn.one_hot(all_species, kinds, dtype=positions.dtype)

        def expand(table: Table) -> Array:
            return (
                table[0, 0] if kinds == 1 else matmul(matmul(one_hot, table), one_hot.T)
            )

        distances = soften_distances(
            squared_distances(positions, atoms), self.core_radius
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
        inverse_roots = jax.lax.rsqrt(jnp.maximum(densities, MIN_DENSITY))
        return sum_rows(repulsion) - densities * inverse_roots, inverse_roots

    def has_kernel(self, atoms: int) -> bool:
        return self.d0.shape[0] <= 2

    def _kernel(self, species: Species, box: Box | None) -> Kernel:
        log_a, p, log_xi, q = self._exponents()
        operands = {"species": species, "log_a": log_a, "p": p, "log_xi": log_xi}
        operands |= {"q": q, "core": self.core_radius}
        attributes = {"kinds": len(self.d0), "smallest_density": MIN_DENSITY}
        return Kernel("gupta", operands, attributes)

    def _energy_and_gradient_jax(
        self, positions: Positions, species: Species, box: Box | None
    ) -> tuple[Energy, Positions]:
        atoms = positions.shape[0]
        centred = pad(centre(positions))
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
        repulsion, density, *_ = self._pairs(pad(centre(positions)), species)
        return self._reduce(repulsion, density)[0][: positions.shape[0]]
