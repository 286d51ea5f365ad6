"""Lennard-Jones potential without cutoff.

Jones and Chapman, Proc. R. Soc. A 106, 463 (1924); Learn2Hop, Eq. 1 and 5.
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from hopgym._checks import between, check_fields
from hopgym._converters import to_float
from hopgym.potentials._pair_sums import PaddedPositions, squared_distances
from hopgym.potentials.base import ENERGY, LENGTH, Box, Species
from hopgym.potentials.kernel import Kernel
from hopgym.potentials.pair import AbstractPairPotential


class LennardJones(AbstractPairPotential):
    """sum_{i<j} epsilon [(d0/r)^12 - 2 (d0/r)^6].

    Within `core * d0` the pair energy is continued linearly in r^2, with the value
    and slope at that distance.

    **Arguments:**

    - `epsilon`: depth of the pair potential, between 1e-25 and 1e9.
    - `d0`: distance of its minimum, between 1e-10 and 1e10.
    - `core`: core radius in units of d0, between 0.01 and 0.9.

    **Raises:** `ValueError` for parameters outside of these ranges.
    """

    epsilon: Float[Array, ""] = eqx.field(converter=to_float, default=1.0)
    d0: Float[Array, ""] = eqx.field(converter=to_float, default=1.0)
    core: Float[Array, ""] = eqx.field(converter=to_float, default=0.1)

    def __check_init__(self):
        check_fields(self, epsilon=ENERGY, d0=LENGTH, core=between(0.01, 0.9))

    @property
    def _units(self) -> tuple[Float[Array, ""], Float[Array, ""]]:
        return self.epsilon, self.d0

    @property
    def core_radius(self) -> Float[Array, ""]:
        """Radius of the core, in the unit of d0."""
        return self.core * self.d0

    def _pairs(self, scaled: PaddedPositions, atoms: int) -> tuple[Array, Array]:
        squared = squared_distances(scaled, atoms)
        core2 = self.core * self.core
        outside = jnp.maximum(squared, core2)
        # 1/r^2, continued linearly in r^2. Everything else is a function of this one
        # matrix: XLA stores the result of a division and recomputes all others.
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
