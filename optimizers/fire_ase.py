"""FIRE with a largest step, as in ASE."""

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray

from hopgym.context import Context
from hopgym.optimizers.base import AbstractOptimizer, real
from hopgym.optimizers.fire import FireState


class FireAse(AbstractOptimizer[FireState]):
    """Fast inertial relaxation engine, the flavour of `ase.optimize.FIRE`.

    Semi-implicit Euler steps with mass 1 and a largest length. With F = -gradient and
    the power P = F.v,

        P > 0: v <- (1 - alpha) v + alpha F |v| / |F|, and after more than n_min of
               these also dt <- min(f_inc dt, dt_max), alpha <- f_alpha alpha
        else:  v <- 0, dt <- f_dec dt, alpha <- alpha_start
        then:  v <- v + dt F,  x <- x + s min(1, max_step / |s|) with s = dt v

    |s| is the norm over all atoms. With the same numbers the positions are ASE's.

    E. Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006); A. Hjorth Larsen et al., J.
    Phys.: Condens. Matter 29, 273002 (2017).

    **Arguments:**

    - `dt_start`, `dt_max`: first and largest time step, length / energy^(1/2) in the
      system's own units.
    - `max_step`: longest step, in the system's own unit of length.
    - `n_min`: downhill steps before the time step grows.
    - `f_inc`, `f_dec`: growth and decrease of the time step.
    - `alpha_start`, `f_alpha`: mixing, and its decay.
    """

    dt_start: Float[Array, ""]
    dt_max: Float[Array, ""]
    max_step: Float[Array, ""]
    n_min: Float[Array, ""]
    f_inc: Float[Array, ""]
    f_dec: Float[Array, ""]
    alpha_start: Float[Array, ""]
    f_alpha: Float[Array, ""]

    def __init__(
        self,
        dt_start: ArrayLike = 0.1,
        dt_max: ArrayLike = 1.0,
        max_step: ArrayLike = 0.2,
        n_min: ArrayLike = 5,
        f_inc: ArrayLike = 1.1,
        f_dec: ArrayLike = 0.5,
        alpha_start: ArrayLike = 0.1,
        f_alpha: ArrayLike = 0.99,
    ):
        self.dt_start = real(dt_start)
        self.dt_max = real(dt_max)
        self.max_step = real(max_step)
        self.n_min = real(n_min)
        self.f_inc = real(f_inc)
        self.f_dec = real(f_dec)
        self.alpha_start = real(alpha_start)
        self.f_alpha = real(f_alpha)

    def init(
        self, positions: Float[Array, "atoms 3"], *, key: PRNGKeyArray, context: Context
    ) -> FireState:
        return FireState(
            velocity=jnp.zeros_like(positions),
            dt=self.dt_start,
            alpha=self.alpha_start,
            downhill=jnp.asarray(-1, jnp.int32),
        )

    def update(
        self,
        gradient: Float[Array, "atoms 3"],
        state: FireState,
        positions: Float[Array, "atoms 3"],
        *,
        value: Float[Array, ""],
        context: Context,
    ) -> tuple[Float[Array, "atoms 3"], FireState]:
        force, velocity, dt, alpha = -gradient, state.velocity, state.dt, state.alpha

        begun = state.downhill >= 0
        ahead = jnp.sum(force * velocity) > 0
        turn = begun & ~ahead
        speed = jnp.sqrt(jnp.sum(velocity**2))
        mixed = (1 - alpha) * velocity + alpha * force * _ratio(
            speed, jnp.sqrt(jnp.sum(force**2))
        )
        velocity = jnp.where(ahead, mixed, 0)
        grow = ahead & (state.downhill > self.n_min)
        longer = jnp.minimum(dt * self.f_inc, self.dt_max)
        dt = jnp.where(grow, longer, jnp.where(turn, dt * self.f_dec, dt))
        weaker = jnp.where(grow, alpha * self.f_alpha, alpha)
        alpha = jnp.where(turn, self.alpha_start, weaker)
        downhill = jnp.where(turn, 0, state.downhill + 1)

        velocity = velocity + dt * force
        step = dt * velocity
        length = jnp.sqrt(jnp.sum(step**2))
        step = step * jnp.where(
            length > self.max_step, _ratio(self.max_step, length), 1
        )
        return step, FireState(velocity, dt, alpha, downhill)


def _ratio(a: Float[Array, ""], b: Float[Array, ""]) -> Float[Array, ""]:
    """a / b, or 0 where b is 0."""
    return jnp.where(b > 0, a / jnp.where(b > 0, b, 1), 0)
