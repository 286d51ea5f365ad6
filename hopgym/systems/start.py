"""Random starts."""

from __future__ import annotations

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from hopgym.potentials.soft_sphere import SoftSphere


class AbstractStart(eqx.Module):
    """Draws the positions a search begins with."""

    @abc.abstractmethod
    def sample(
        self,
        key: PRNGKeyArray,
        atoms: int,
        length: Float[Array, ""],
        box: Float[Array, "3"] | None,
    ) -> Float[Array, "atoms 3"]:
        """Positions of `atoms` atoms; `length` is the system's unit of length."""


class HarmonicStart(AbstractStart):
    """Harmonic initialisation: uniform in a cube, then soft spheres are relaxed.

    Learn2Hop, appendix D.2. The printed rate of 1e-3 leaves large clusters
    overlapping; 1e-2 reaches the stated energy of about zero.

    **Arguments:**

    - `edge`: edge of the cube in units of the system's length; in a periodic
      system the box itself is filled.
    - `diameter`: of the soft spheres, in the same unit.
    - `rate`, `steps`: gradient descent on the soft spheres, in reduced units.
    """

    edge: Float[Array, ""]
    diameter: Float[Array, ""]
    rate: Float[Array, ""]
    steps: int = eqx.field(static=True)

    def __init__(
        self,
        edge: float = 3.0,
        diameter: float = 1.0,
        rate: float = 1e-2,
        steps: int = 1000,
    ):
        self.edge = jnp.asarray(edge, float)
        self.diameter = jnp.asarray(diameter, float)
        self.rate = jnp.asarray(rate, float)
        self.steps = steps

    def sample(
        self,
        key: PRNGKeyArray,
        atoms: int,
        length: Float[Array, ""],
        box: Float[Array, "3"] | None,
    ) -> Float[Array, "atoms 3"]:
        scaled_box = None if box is None else box / length
        uniform = jax.random.uniform(key, (atoms, 3), self.edge.dtype)
        if scaled_box is None:
            positions = self.edge * (uniform - 0.5)
        else:
            positions = scaled_box * uniform
        spheres = SoftSphere(sigma=1.0)
        spheres = eqx.tree_at(lambda s: s.sigma, spheres, self.diameter)
        species = jnp.zeros(atoms, jnp.int32)

        def relax(_, positions):
            _, gradient = spheres.energy_and_gradient(positions, species, scaled_box)
            return positions - self.rate * gradient

        return jax.lax.fori_loop(0, self.steps, relax, positions) * length
