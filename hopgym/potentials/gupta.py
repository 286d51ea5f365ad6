"""Gupta clusters of one or two metals: second-moment tight binding.

Gupta, Phys. Rev. B 23, 6265 (1981); Cleri and Rosato, Phys. Rev. B 48, 22 (1993);
Learn2Hop, Eq. 6, whose printed sums over j > i are sums over all neighbours.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hopgym.potentials.base import (
    Box,
    Energy,
    Padded,
    Positions,
    Species,
    central_gradient,
    centred,
    check_free_space,
    cored_distances,
    dot,
    padded,
    power_of_two,
    row_sums,
    squared_distances,
)
from hopgym.potentials.kernel import Kernel, PotentialWithKernel

# Below this a squared bond energy is as good as none: an isolated atom. Its power of
# -3/2, in derivatives, must be a float32.
SMALLEST_DENSITY = 1e-20

Table = Float[Array, "species species"]


class Gupta(PotentialWithKernel):
    """sum_i { sum_j A exp[-p (r/d0 - 1)] - sqrt(sum_j xi^2 exp[-2 q (r/d0 - 1)]) }.

    Sums run over all j != i; A, xi, p, q and d0 depend on the species of i and j.

    **Arguments:**

    - `a`: repulsion A, energy, symmetric `(species, species)` table.
    - `xi`: hopping integral, energy, likewise.
    - `p`, `q`: inverse ranges, likewise.
    - `d0`: nearest-neighbour distance of the bulk, length, likewise.
    - `core`: radius in units of the smallest d0 within which the distance is
      softened.
    """

    a: Table
    xi: Table
    p: Table
    q: Table
    d0: Table
    core: Float[Array, ""]

    def __init__(self, a, xi, p, q, d0, core: float = 0.1):
        self.a, self.xi, self.p, self.q, self.d0 = (
            jnp.asarray(table, float) for table in (a, xi, p, q, d0)
        )
        self.core = jnp.asarray(core, float)

    def check_box(self, box: Box | None) -> None:
        check_free_space(self, box)

    def _exponents(self) -> tuple[Table, Table, Table, Table]:
        """Terms of both sums as exp(start - decay r): start and decay of each."""
        p, q = self.p / self.d0, 2 * self.q / self.d0
        return self.p + jnp.log(self.a), p, 2 * (self.q + jnp.log(self.xi)), q

    @property
    def _core_radius(self) -> Float[Array, ""]:
        return self.core * jnp.min(self.d0)

    def _pairs(self, positions: Padded, species: Species):
        """Terms of both sums of all pairs, their decay rates and the distances."""
        atoms = species.shape[0]
        kinds = self.d0.shape[0]
        all_species = jnp.pad(species, (0, positions.shape[0] - atoms))
        one_hot = jax.nn.one_hot(all_species, kinds, dtype=positions.dtype)

        def of_pairs(table: Table) -> Array:
            return table[0, 0] if kinds == 1 else dot(dot(one_hot, table), one_hot.T)

        distances = cored_distances(
            squared_distances(positions, atoms), self._core_radius
        )
        of_a, p, of_xi, q = self._exponents()
        bits = 1 / math.log(2)
        repulsion, density = (
            power_of_two(of_pairs(start * bits) - of_pairs(decay * bits) * distances)
            for start, decay in ((of_a, p), (of_xi, q))
        )
        return repulsion, density, of_pairs(p), of_pairs(q), distances

    def _atoms(self, repulsion: Array, density: Array) -> tuple[Array, Array]:
        """Energy of each atom, and 1 / sqrt(density) of each."""
        densities = row_sums(density)
        inverse_roots = jax.lax.rsqrt(jnp.maximum(densities, SMALLEST_DENSITY))
        return row_sums(repulsion) - densities * inverse_roots, inverse_roots

    def has_kernel(self, atoms: int) -> bool:
        return self.d0.shape[0] <= 2

    def _kernel(self, species: Species, box: Box | None) -> Kernel:
        log_a, p, log_xi, q = self._exponents()
        operands = {"species": species, "log_a": log_a, "p": p, "log_xi": log_xi}
        operands |= {"q": q, "core": self._core_radius}
        attributes = {"kinds": len(self.d0), "smallest_density": SMALLEST_DENSITY}
        return Kernel("gupta", operands, attributes)

    def _by_formulas(
        self, positions: Positions, species: Species, box: Box | None
    ) -> tuple[Energy, Positions]:
        atoms = positions.shape[0]
        about_mean = padded(centred(positions))
        repulsion, density, p, q, distances = self._pairs(about_mean, species)
        energies, roots = self._atoms(repulsion, density)
        half = 0.5 * roots
        slope = q * density * (half[:, None] + half) - 2 * p * repulsion
        weights = slope / jnp.maximum(distances, self._core_radius)
        gradient = central_gradient(weights, about_mean)[:atoms]
        return jnp.sum(energies[:atoms]), gradient

    def _atoms_by_formulas(
        self, positions: Positions, species: Species, box: Box | None
    ) -> Float[Array, " atoms"]:
        repulsion, density, *_ = self._pairs(padded(centred(positions)), species)
        return self._atoms(repulsion, density)[0][: positions.shape[0]]
