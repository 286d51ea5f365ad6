"""Morse clusters, a classic testbed of global optimisation.

Doye and Wales, J. Chem. Soc., Faraday Trans. 93, 4233 (1997).
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
    cored_distances,
    exponential,
    padded,
    row_sums,
    squared_distances,
)
from hopgym.potentials.kernel import Kernel, PotentialWithKernel


class Morse(PotentialWithKernel):
    """sum_{i<j} epsilon b (b - 2) with b = exp[rho (1 - r/d0)].

    **Arguments:**

    - `rho`: inverse range; 6 resembles Lennard-Jones, 14 is very short-ranged.
    - `epsilon`: depth of the pair potential.
    - `d0`: distance of its minimum.
    - `core`: radius in units of d0 within which the distance is softened.
    """

    rho: Float[Array, ""]
    epsilon: Float[Array, ""]
    d0: Float[Array, ""]
    core: Float[Array, ""]

    def __init__(
        self, rho: float | int, epsilon: float = 1.0, d0: float = 1.0, core: float = 0.1
    ):
        self.rho = jnp.asarray(rho, float)
        self.epsilon = jnp.asarray(epsilon, float)
        self.d0 = jnp.asarray(d0, float)
        self.core = jnp.asarray(core, float)

    def check_box(self, box: Box | None) -> None:
        check_free_space(self, box)

    def _pairs(self, scaled: Padded, atoms: int) -> tuple[Array, Array]:
        """Pair energies / epsilon, and weights w of the gradient w (r_i - r_j)."""
        distances = cored_distances(squared_distances(scaled, atoms), self.core)
        bond = exponential(self.rho * (1 - distances))
        slope = -2 * self.rho * bond * (bond - 1)
        return bond * (bond - 2), slope / jnp.maximum(distances, self.core)

    def _kernel(self, species: Species, box: Box | None) -> Kernel:
        operands = {"epsilon": self.epsilon, "d0": self.d0, "core": self.core}
        return Kernel("morse", operands | {"rho": self.rho}, {})

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
