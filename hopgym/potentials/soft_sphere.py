"""Soft spheres, which push apart the atoms of random starts (Learn2Hop, Eq. 8).

The paper's text states a cutoff of 0.1; the pair energy is cut off at the diameter,
where it is continuous.
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from hopgym._checks import Rule, check_fields, is_known
from hopgym._converters import to_float
from hopgym.potentials._pair_sums import centre, pair_differences, sum_rows
from hopgym.potentials.base import (
    ENERGY,
    LENGTH,
    AbstractPotential,
    AtomEnergies,
    Box,
    Energy,
    Positions,
    Species,
    check_structure,
)


class SoftSphere(AbstractPotential):
    """sum_{i<j} (epsilon/alpha) (1 - r/sigma)^alpha for r < sigma, else 0.

    In a box each pair interacts through its nearest image, so `sigma` must be at most
    half the shortest edge. Exactly coincident atoms define no direction, so they do not
    contribute to the gradient.

    **Arguments:**

    - `sigma`: diameter, between 1e-10 and 1e10.
    - `epsilon`: energy scale, between 1e-25 and 1e9.
    - `alpha`: exponent, greater than 1 and at most 100.

    **Raises:** `ValueError` for parameters outside of these ranges.
    """

    sigma: Float[Array, ""] = eqx.field(converter=to_float, default=1.0)
    epsilon: Float[Array, ""] = eqx.field(converter=to_float, default=1.0)
    alpha: Float[Array, ""] = eqx.field(converter=to_float, default=2.0)

    def __check_init__(self):
        exponent = Rule("above 1 and at most 100", lambda x: (x > 1) & (x <= 100))
        check_fields(self, sigma=LENGTH, epsilon=ENERGY, alpha=exponent)

    def check_box(self, box: Box | None) -> None:
        if box is None or not is_known(self.sigma):
            return
        if float(box.min()) < 2 * float(self.sigma):
            raise ValueError(
                f"SoftSphere of diameter {float(self.sigma):g} needs a box of at least "
                f"twice that, got edges {box.tolist()}"
            )

    def _overlaps(self, positions: Positions, box: Box | None):
        """Difference vectors, distances and overlaps max(1 - r/sigma, 0) of pairs."""
        vectors = pair_differences(centre(positions, self.sigma))
        if box is not None:
            vectors = [
                d - b * jnp.round(d / b) for d, b in zip(vectors, box, strict=True)
            ]
        same = jnp.eye(positions.shape[0], dtype=positions.dtype)
        squared = sum(d * d for d in vectors) + same
        # Any positive distance keeps the division finite for coincident atoms.
        tiny = jnp.finfo(positions.dtype).tiny
        distances = jnp.sqrt(jnp.maximum(squared, tiny))
        overlaps = (1 - same) * jnp.maximum(1 - distances / self.sigma, 0)
        return vectors, distances, overlaps

    def _raise_overlaps(self, overlaps: Array, exponent: Array) -> Array:
        """overlaps^exponent, with derivatives of 0 where there is no overlap."""
        bases = jnp.where(overlaps > 0, overlaps, 1)
        return jnp.where(overlaps > 0, bases**exponent, 0)

    def energy_and_gradient(
        self, positions: Positions, species: Species, box: Box | None
    ) -> tuple[Energy, Positions]:
        positions, _, box = check_structure(self, positions, species, box)
        return self.push_apart(positions, box)

    def push_apart(
        self, positions: Positions, box: Box | None
    ) -> tuple[Energy, Positions]:
        """`energy_and_gradient` without checks, for any box."""
        vectors, distances, overlaps = self._overlaps(positions, box)
        powers = self._raise_overlaps(overlaps, self.alpha - 1)
        weights = -self.epsilon / self.sigma * powers / distances
        gradient = jnp.stack([sum_rows(weights * d) for d in vectors], axis=1)
        energies = sum_rows(powers * overlaps)
        return 0.5 * self.epsilon / self.alpha * jnp.sum(energies), gradient

    def atom_energies(
        self, positions: Positions, species: Species, box: Box | None
    ) -> AtomEnergies:
        positions, _, box = check_structure(self, positions, species, box)
        _, _, overlaps = self._overlaps(positions, box)
        return (
            0.5
            * self.epsilon
            / self.alpha
            * sum_rows(self._raise_overlaps(overlaps, self.alpha))
        )
