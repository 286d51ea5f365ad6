"""Soft spheres, which spread random starts (Learn2Hop, Eq. 8).

The paper's text says that the pair energy ends at 0.1; it ends at the diameter,
where it is continuous.
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
    centred,
    differences,
    row_sums,
)


class SoftSphere(AbstractPotential):
    """sum_{i<j} (epsilon/alpha) (1 - r/sigma)^alpha for r < sigma, else 0.

    In a box the nearest image counts, so `sigma` must be at most half its edge.
    The gradient of exactly coincident atoms is zero: there is no direction.

    **Arguments:**

    - `sigma`: diameter.
    - `epsilon`: energy scale.
    - `alpha`: exponent, greater than 1.
    """

    sigma: Float[Array, ""]
    epsilon: Float[Array, ""]
    alpha: Float[Array, ""]

    def __init__(self, sigma: float = 1.0, epsilon: float = 1.0, alpha: float = 2.0):
        self.sigma = jnp.asarray(sigma, float)
        self.epsilon = jnp.asarray(epsilon, float)
        self.alpha = jnp.asarray(alpha, float)

    def check_box(self, box: Box | None) -> None:
        if box is not None and float(box.min()) < 2 * float(self.sigma):
            raise ValueError(
                f"SoftSphere of diameter {float(self.sigma):g} needs a box of at least "
                f"twice that, got edges {box.tolist()}"
            )

    def _overlaps(self, positions: Positions, box: Box | None):
        vectors = differences(centred(positions))
        if box is not None:
            vectors = [
                d - b * jnp.round(d / b) for d, b in zip(vectors, box, strict=True)
            ]
        squared = sum(d * d for d in vectors)
        # The diagonal (and coincident pairs) have no direction; any distance
        # greater than zero keeps the division finite.
        tiny = jnp.finfo(positions.dtype).tiny
        distances = jnp.sqrt(jnp.maximum(squared, tiny))
        off = 1 - jnp.eye(positions.shape[0], dtype=positions.dtype)
        return vectors, distances, off * jnp.maximum(1 - distances / self.sigma, 0)

    def energy_and_gradient(
        self, positions: Positions, species: Species, box: Box | None
    ) -> tuple[Energy, Positions]:
        vectors, distances, overlaps = self._overlaps(positions, box)
        powers = overlaps ** (self.alpha - 1)
        weights = -self.epsilon / self.sigma * powers / distances
        gradient = jnp.stack([row_sums(weights * d) for d in vectors], axis=1)
        energies = row_sums(powers * overlaps)
        return 0.5 * self.epsilon / self.alpha * jnp.sum(energies), gradient

    def atom_energies(
        self, positions: Positions, species: Species, box: Box | None
    ) -> Float[Array, " atoms"]:
        _, _, overlaps = self._overlaps(positions, box)
        return 0.5 * self.epsilon / self.alpha * row_sums(overlaps**self.alpha)
