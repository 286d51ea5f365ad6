"""FIRE with steps of limited length, as in ASE."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from hopgym._checks import LIMIT, check_fields
from hopgym._converters import to_float
from hopgym.context import Context
from hopgym.optimizers._fire import AbstractFire, FireState


class FireAse(AbstractFire):
    """Fast inertial relaxation engine, as in `ase.optimize.FIRE`.

    Semi-implicit Euler steps with mass 1 and limited length. With F = -gradient and the
    power P = F.v,

        P > 0: v <- (1 - alpha) v + alpha F |v| / |F|, and after more than n_min such
               steps also dt <- min(f_inc dt, dt_max), alpha <- f_alpha alpha
        else:  v <- 0, dt <- f_dec dt, alpha <- alpha_start
        then:  v <- v + dt F,  x <- x + s min(1, max_step / |s|) with s = dt v

    |s| is the norm over all atoms. With the same parameters it visits the same
    positions as ASE.

    E. Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006); A. Hjorth Larsen et al., J.
    Phys.: Condens. Matter 29, 273002 (2017).

    **Arguments:**

    - `dt_start`, `dt_max`: initial and maximum time step, length / energy^(1/2) in the
      system's own units.
    - `max_step`: maximum length of a step, in the system's own unit of length.
    - `n_min`: downhill steps before the time step grows.
    - `f_inc`, `f_dec`: factors by which the time step grows and shrinks.
    - `alpha_start`, `f_alpha`: initial mixing, and the factor by which it decays.
    """

    dt_start: Float[Array, ""] = eqx.field(converter=to_float, default=0.1)
    dt_max: Float[Array, ""] = eqx.field(converter=to_float, default=1.0)
    max_step: Float[Array, ""] = eqx.field(converter=to_float, default=0.2)
    n_min: Float[Array, ""] = eqx.field(converter=to_float, default=5, kw_only=True)
    f_inc: Float[Array, ""] = eqx.field(converter=to_float, default=1.1, kw_only=True)
    f_dec: Float[Array, ""] = eqx.field(converter=to_float, default=0.5, kw_only=True)
    alpha_start: Float[Array, ""] = eqx.field(
        converter=to_float, default=0.1, kw_only=True
    )
    f_alpha: Float[Array, ""] = eqx.field(
        converter=to_float, default=0.99, kw_only=True
    )

    def __check_init__(self):
        check_fields(self, max_step=LIMIT)

    def update(
        self,
        gradient: Float[Array, "atoms 3"],
        state: FireState,
        positions: Float[Array, "atoms 3"],
        *,
        value: Float[Array, ""],
        context: Context,
    ) -> tuple[Float[Array, "atoms 3"], FireState]:
        force, velocity, alpha = -gradient, state.velocity, state.alpha

        started = state.downhill >= 0
        ahead = jnp.sum(force * velocity) > 0
        turn = started & ~ahead
        speed = jnp.sqrt(jnp.sum(velocity**2))
        mixed = (1 - alpha) * velocity + alpha * force * _divide(
            speed, jnp.sqrt(jnp.sum(force**2))
        )
        velocity = jnp.where(ahead, mixed, 0)
        grow = ahead & (state.downhill > self.n_min)
        dt, alpha = self._adapt(state, grow=grow, reset=turn)
        downhill = jnp.where(turn, 0, state.downhill + 1)

        velocity = velocity + dt * force
        step = dt * velocity
        length = jnp.sqrt(jnp.sum(step**2))
        step = step * jnp.where(
            length > self.max_step, _divide(self.max_step, length), 1
        )
        return step, FireState(velocity, dt, alpha, downhill)


def _divide(a: Float[Array, ""], b: Float[Array, ""]) -> Float[Array, ""]:
    """a / b, or 0 where b is 0."""
    return jnp.where(b > 0, a / jnp.where(b > 0, b, 1), 0)
