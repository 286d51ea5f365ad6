"""Lennard-Jones clusters without cutoff.

Jones and Chapman, Proc. R. Soc. A 106, 463 (1924); Learn2Hop, Eq. 1 and 5.
"""

from __future__ import annotations

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
    padded,
    row_sums,
    squared_distances,
)
from hopgym.potentials.kernel import Kernel, PotentialWithKernel


class LennardJones(PotentialWithKernel):
    """sum_{i<j} epsilon [(d0/r)^12 - 2 (d0/r)^6].

    Within `core * d0` a pair's energy is continued linearly in r^2, with the value
    and slope it has there.

    **Arguments:**

    - `epsilon`: depth of the pair potential.
    - `d0`: distance of its minimum.
    - `core`: core radius in units of d0.
    """

    epsilon: Float[Array, ""]
    d0: Float[Array, ""]
    core: Float[Array, ""]

    def __init__(self, epsilon: float = 1.0, d0: float = 1.0, core: float = 0.1):
        self.epsilon = jnp.asarray(epsilon, float)
        self.d0 = jnp.asarray(d0, float)
        self.core = jnp.asarray(core, float)

    def check_box(self, box: Box | None) -> None:
        check_free_space(self, box)

    def _pairs(self, scaled: Padded, atoms: int) -> tuple[Array, Array]:
        """Pair energies / epsilon, and weights w of the gradient w (r_i - r_j)."""
        squared = squared_distances(scaled, atoms)
        core2 = self.core * self.core
        outside = jnp.maximum(squared, core2)
        # 1/r^2, continued linearly in r^2. Everything else is a function of this one
        # matrix: XLA keeps the result of a division and recomputes all others.
        inverse = (2 - jnp.minimum(squared, core2) / core2) / outside
        edge = 1 / core2
        r2 = jnp.minimum(inverse, edge)
        r6 = r2 * r2 * r2
        slope = 6 * edge**2 * (edge**3 - 1)
        energies = r6 * (r6 - 2) + slope * jnp.maximum(inverse - edge, 0)
        return energies, 12 * (r6 - r6 * r6) * r2

    def _kernel(self, species: Species, box: Box | None) -> Kernel:
        operands = {"epsilon": self.epsilon, "d0": self.d0, "core": self.core}
        return Kernel("lennard_jones", operands, {})

    def _by_formulas(
        self, positions: Positions, species: Species, box: Box | None
    ) -> tuple[Energy, Positions]:
        atoms = positions.shape[0]
        scaled = padded(centred(positions) / self.d0)
        energies, weights = self._pairs(scaled, atoms)
        gradient = central_gradient(weights, scaled)[:atoms]
        energy = 0.5 * self.epsilon * jnp.sum(row_sums(energies))
        return energy, gradient * (self.epsilon / self.d0)

    def _atoms_by_formulas(
        self, positions: Positions, species: Species, box: Box | None
    ) -> Float[Array, " atoms"]:
        atoms = positions.shape[0]
        energies, _ = self._pairs(padded(centred(positions) / self.d0), atoms)
        return 0.5 * self.epsilon * row_sums(energies)[:atoms]
