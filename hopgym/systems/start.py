"""Random initial positions."""

from __future__ import annotations

import abc

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from hopgym._checks import (
    NOT_NEGATIVE,
    POSITIVE,
    check_fields,
    check_integer,
)
from hopgym._converters import to_float
from hopgym._unrolled_random import unroll
from hopgym.potentials import SoftSphere


class AbstractStart(eqx.Module):
    """A distribution of the initial positions of searches."""

    @abc.abstractmethod
    def sample(
        self,
        key: PRNGKeyArray,
        atoms: int,
        length: Float[Array, ""],
        box: Float[Array, "3"] | None,
    ) -> Float[Array, "atoms 3"]:
        """Draw initial positions.

        **Arguments:**

        - `key`: random key.
        - `atoms`: number of atoms.
        - `length`: the system's unit of length.
        - `box`: edges of the periodic box, or `None` in free space.
        """


class HarmonicStart(AbstractStart):
    """Harmonic initialisation: uniform in a cube, then relaxed as soft spheres.

    Learn2Hop, appendix D.2. With the printed rate of 1e-3, atoms of large clusters
    still overlap; 1e-2 reaches the stated energy of about zero.

    **Arguments:**

    - `edge`: edge of the cube in units of the system's length; in a periodic system
      positions are uniform in the box instead.
    - `diameter`: diameter of the soft spheres, in the same unit.
    - `rate`, `steps`: step size, in reduced units, and number of steps of gradient
      descent.

    **Raises:** `ValueError` for a length that is not positive and finite, a negative
    rate or number of steps.
    """

    edge: Float[Array, ""] = eqx.field(converter=to_float, default=3.0)
    diameter: Float[Array, ""] = eqx.field(converter=to_float, default=1.0)
    rate: Float[Array, ""] = eqx.field(converter=to_float, default=1e-2)
    steps: int = eqx.field(static=True, default=1000)

    def __check_init__(self):
        check_fields(self, edge=POSITIVE, diameter=POSITIVE, rate=NOT_NEGATIVE)
        check_integer("HarmonicStart: steps", self.steps, 0)

    def sample(
        self,
        key: PRNGKeyArray,
        atoms: int,
        length: Float[Array, ""],
        box: Float[Array, "3"] | None,
    ) -> Float[Array, "atoms 3"]:
        scaled_box = None if box is None else box / length
        uniform = jax.random.uniform(unroll(key), (atoms, 3), self.edge.dtype)
        if scaled_box is None:
            positions = self.edge * (uniform - 0.5)
        else:
            positions = scaled_box * uniform
        spheres = SoftSphere(sigma=1.0)
        spheres = eqx.tree_at(lambda s: s.sigma, spheres, self.diameter)

        def relax(_, positions):
            _, gradient = spheres.push_apart(positions, scaled_box)
            return positions - self.rate * gradient

        return jax.lax.fori_loop(0, self.steps, relax, positions) * length
