"""Lennard-Jones clusters without cutoff.

Jones and Chapman, Proc. R. Soc. A 106, 463 (1924); Learn2Hop, Eq. 1 and 5.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from hopgym.potentials.base import (
    AbstractPotential,
    Box,
    Energy,
    Positions,
    Species,
    central_gradient,
    centred,
    check_free_space,
    row_sums,
    squared_distances,
)


class LennardJones(AbstractPotential):
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

    def _pairs(self, scaled: Positions) -> tuple[Array, Array]:
        """Pair energies / epsilon, and weights w of the gradient w (r_i - r_j)."""
        squared = squared_distances(scaled)
        outside = jnp.maximum(squared, self.core * self.core)
        r2 = 1 / outside
        r6 = r2 * r2 * r2
        weights = 12 * (r6 - r6 * r6) * r2
        return r6 * (r6 - 2) + 0.5 * weights * (squared - outside), weights

    def energy_and_gradient(
        self, positions: Positions, species: Species, box: Box | None
    ) -> tuple[Energy, Positions]:
        scaled = centred(positions) / self.d0
        energies, weights = self._pairs(scaled)
        gradient = central_gradient(weights, scaled) * (self.epsilon / self.d0)
        return 0.5 * self.epsilon * jnp.sum(row_sums(energies)), gradient

    def atom_energies(
        self, positions: Positions, species: Species, box: Box | None
    ) -> Float[Array, " atoms"]:
        energies, _ = self._pairs(centred(positions) / self.d0)
        return 0.5 * self.epsilon * row_sums(energies)
