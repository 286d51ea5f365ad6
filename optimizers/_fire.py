"""Common parts of the two variants of FIRE: fields, state and adaptive time step.

E. Bitzek, P. Koskinen, F. Gaehler, M. Moseler and P. Gumbsch, Phys. Rev. Lett. 97,
170201 (2006).
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from hopgym._checks import FRACTION, NOT_NEGATIVE, POSITIVE, Rule, check_fields
from hopgym.context import Context
from hopgym.optimizers.base import AbstractOptimizer


class FireState(eqx.Module):
    """State of damped molecular dynamics between two evaluations.

    **Attributes:**

    - `velocity`: velocities, length / time.
    - `dt`, `alpha`: current time step and mixing parameter.
    - `downhill`: steps since the power was last negative; -1 before the first gradient.
    """

    velocity: Float[Array, "atoms 3"]
    dt: Float[Array, ""]
    alpha: Float[Array, ""]
    downhill: Int[Array, ""]


class AbstractFire(AbstractOptimizer[FireState]):
    """Fast inertial relaxation engine."""

    dt_start: eqx.AbstractVar[Float[Array, ""]]
    dt_max: eqx.AbstractVar[Float[Array, ""]]
    n_min: eqx.AbstractVar[Float[Array, ""]]
    f_inc: eqx.AbstractVar[Float[Array, ""]]
    f_dec: eqx.AbstractVar[Float[Array, ""]]
    alpha_start: eqx.AbstractVar[Float[Array, ""]]
    f_alpha: eqx.AbstractVar[Float[Array, ""]]

    def __check_init__(self):
        factor = Rule("above 0 and at most 1", lambda x: (x > 0) & (x <= 1))
        check_fields(
            self,
            dt_start=POSITIVE,
            dt_max=POSITIVE,
            n_min=NOT_NEGATIVE,
            f_inc=Rule("at least 1 and finite", lambda x: (x >= 1) & (x < np.inf)),
            f_dec=factor,
            alpha_start=FRACTION,
            f_alpha=factor,
        )

    def init(
        self, positions: Float[Array, "atoms 3"], *, key: PRNGKeyArray, context: Context
    ) -> FireState:
        return FireState(
            velocity=jnp.zeros_like(positions),
            dt=self.dt_start,
            alpha=self.alpha_start,
            downhill=jnp.asarray(-1, jnp.int32),
        )

    def _adapt(
        self, state: FireState, *, grow: Bool[Array, ""], reset: Bool[Array, ""]
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Adapt the time step and the mixing parameter after a step.

        **Arguments:**

        - `grow`: whether the time step grows and the mixing decays.
        - `reset`: whether the power was negative.
        """
        dt, alpha = state.dt, state.alpha
        longer = jnp.minimum(dt * self.f_inc, self.dt_max)
        dt = jnp.where(grow, longer, jnp.where(reset, dt * self.f_dec, dt))
        weaker = jnp.where(grow, alpha * self.f_alpha, alpha)
        return dt, jnp.where(reset, self.alpha_start, weaker)
