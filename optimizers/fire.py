"""FIRE with velocity Verlet, as in jax-md."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from hopgym.context import Context
from hopgym.optimizers.base import AbstractOptimizer, real
from hopgym.systems import System

# Squares of forces and velocities stay finite in float32 when a run with too long time
# steps blows up. Overlapping atoms have gradients of up to about this size.
LARGEST = 1e16


class FireState(eqx.Module):
    """Damped molecular dynamics between two evaluations.

    **Attributes:** `velocity`; `dt`, `alpha`: present time step and mixing;
    `downhill`: steps since the power was last negative, -1 before the first gradient.
    """

    velocity: Float[Array, "atoms 3"]
    dt: Float[Array, ""]
    alpha: Float[Array, ""]
    downhill: Int[Array, ""]


class Fire(AbstractOptimizer[FireState]):
    """Fast inertial relaxation engine, the flavour of `jax_md.minimize.fire_descent`.

    Velocity Verlet with mass 1, the forces being F = -gradient; after each step, with
    the power P = F.v,

        v <- (1 - alpha) v + alpha F |v| / |F|
        P > 0 for more than n_min steps: dt <- min(f_inc dt, dt_max),
                                         alpha <- f_alpha alpha
        P < 0: v <- 0, dt <- f_dec dt, alpha <- alpha_start

    The gradient of an update completes the last step and begins the next, so that
    a step costs one evaluation. There is no largest step. Given the same numbers the
    positions are jax-md's, which rounds its parameters to half precision.

    E. Bitzek, P. Koskinen, F. Gaehler, M. Moseler and P. Gumbsch, Phys. Rev. Lett. 97,
    170201 (2006).

    **Arguments:**

    - `dt_start`, `dt_max`: first and largest time step, length / energy^(1/2) in the
      system's own units.
    - `n_min`: downhill steps before the time step grows.
    - `f_inc`, `f_dec`: growth and decrease of the time step.
    - `alpha_start`, `f_alpha`: mixing, and its decay.
    """

    dt_start: Float[Array, ""]
    dt_max: Float[Array, ""]
    n_min: Float[Array, ""]
    f_inc: Float[Array, ""]
    f_dec: Float[Array, ""]
    alpha_start: Float[Array, ""]
    f_alpha: Float[Array, ""]

    def __init__(
        self,
        dt_start: ArrayLike = 0.1,
        dt_max: ArrayLike = 0.4,
        n_min: ArrayLike = 5,
        f_inc: ArrayLike = 1.1,
        f_dec: ArrayLike = 0.5,
        alpha_start: ArrayLike = 0.1,
        f_alpha: ArrayLike = 0.99,
    ):
        self.dt_start = real(dt_start)
        self.dt_max = real(dt_max)
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
        force = jnp.clip(-gradient, -LARGEST, LARGEST)
        dt, alpha = state.dt, state.alpha

        begun = state.downhill >= 0
        velocity = state.velocity + jnp.where(begun, dt / 2, 0) * force
        # With no velocity the power is zero, and what follows changes nothing.
        power = jnp.sum(force * velocity)
        speed = jnp.sqrt(jnp.sum(velocity**2))
        # jax-md's 1e-6: no division by zero at a minimum.
        size = jnp.sqrt(jnp.sum(force**2) + 1e-6)
        velocity = velocity + alpha * (force * (speed / size) - velocity)
        uphill = ~(power >= 0)
        velocity = jnp.where(uphill, 0, velocity)
        downhill = jnp.where(uphill, 0, state.downhill + 1)
        grow = (power > 0) & (downhill > self.n_min)
        longer = jnp.minimum(dt * self.f_inc, self.dt_max)
        dt = jnp.where(grow, longer, jnp.where(uphill, dt * self.f_dec, dt))
        weaker = jnp.where(grow, alpha * self.f_alpha, alpha)
        alpha = jnp.where(uphill, self.alpha_start, weaker)

        velocity = velocity + dt / 2 * force
        velocity = jnp.clip(velocity, -LARGEST, LARGEST)
        return dt * velocity, FireState(velocity, dt, alpha, downhill)


def fire(
    system: System,
    dt_start: ArrayLike = 0.005,
    dt_max: ArrayLike = 0.04,
) -> Fire:
    """`Fire` with time steps in the system's reduced units, length / energy^(1/2).

    With jax-md's own defaults (0.1 and 0.4) Lennard-Jones clusters fly apart. The first
    time step lies in the grid of Learn2Hop, appendix C.1.

    **Arguments:**

    - `system`: gives the units.
    - `dt_start`, `dt_max`: first and largest time step.
    """
    unit = system.length / jnp.sqrt(system.energy_unit)
    return Fire(dt_start=dt_start * unit, dt_max=dt_max * unit)
