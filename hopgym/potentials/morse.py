"""Morse potential, a classic test case of global optimisation.

Doye and Wales, J. Chem. Soc., Faraday Trans. 93, 4233 (1997).
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from hopgym._checks import between, check_fields
from hopgym._converters import to_float
from hopgym.potentials._fast_exp import fast_exp
from hopgym.potentials._pair_sums import (
    PaddedPositions,
    soften_distances,
    squared_distances,
)
from hopgym.potentials.base import ENERGY, LENGTH, SOFT_CORE, Box, Species
from hopgym.potentials.kernel import Kernel
from hopgym.potentials.pair import AbstractPairPotential


class Morse(AbstractPairPotential):
    """sum_{i<j} epsilon b (b - 2) with b = exp[rho (1 - r/d0)].

    **Arguments:**

    - `rho`: inverse range, between 0.1 and 30; 6 resembles Lennard-Jones, 14 is very
      short-ranged.
    - `epsilon`: depth of the pair potential, between 1e-25 and 1e9.
    - `d0`: distance of its minimum, between 1e-10 and 1e10.
    - `core`: radius within which distances are softened, in units of d0, between 0.001
      and 0.9.

    **Raises:** `ValueError` for parameters outside of these ranges.
    """

    rho: Float[Array, ""] = eqx.field(converter=to_float)
    epsilon: Float[Array, ""] = eqx.field(converter=to_float, default=1.0)
    d0: Float[Array, ""] = eqx.field(converter=to_float, default=1.0)
    core: Float[Array, ""] = eqx.field(converter=to_float, default=0.1)

    def __check_init__(self):
        check_fields(
            self, rho=between(0.1, 30), epsilon=ENERGY, d0=LENGTH, core=SOFT_CORE
        )

    @property
    def _units(self) -> tuple[Float[Array, ""], Float[Array, ""]]:
        return self.epsilon, self.d0

    @property
    def core_radius(self) -> Float[Array, ""]:
        """Radius of the core, in the unit of d0."""
        return self.core * self.d0

    def _pairs(self, scaled: PaddedPositions, atoms: int) -> tuple[Array, Array]:
        distances = soften_distances(squared_distances(scaled, atoms), self.core)
        bond = fast_exp(self.rho * (1 - distances))
        slope = -2 * self.rho * bond * (bond - 1)
        return bond * (bond - 2), slope / jnp.maximum(distances, self.core)

    def _kernel(self, species: Species, box: Box | None) -> Kernel:
        operands = {"epsilon": self.epsilon, "d0": self.d0, "core": self.core}
        return Kernel("morse", operands | {"rho": self.rho}, {})
