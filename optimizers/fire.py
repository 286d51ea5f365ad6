"""FIRE with velocity Verlet, as in jax-md."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from hopgym._converters import to_float
from hopgym.context import Context, SystemInfo
from hopgym.optimizers._fire import AbstractFire, FireState

# Forces and velocities are clipped to this, so that their squares stay finite in
# float32 when a run with too long time steps diverges. Gradients of overlapping atoms
# are about as large.
MAX_FORCE = 1e16


class Fire(AbstractFire):
    """Fast inertial relaxation engine, as in `jax_md.minimize.fire_descent`.

    Velocity Verlet with mass 1 and the forces F = -gradient. After each step, with the
    power P = F.v,

        v <- (1 - alpha) v + alpha F |v| / |F|
        P > 0 for more than n_min steps: dt <- min(f_inc dt, dt_max),
                                         alpha <- f_alpha alpha
        P < 0: v <- 0, dt <- f_dec dt, alpha <- alpha_start

    The gradient of an update completes the last step and starts the next one, so that a
    step costs one evaluation. The length of a step is not limited. With the same
    parameters (jax-md rounds its own to half precision) it visits the same positions as
    jax-md.

    E. Bitzek, P. Koskinen, F. Gaehler, M. Moseler and P. Gumbsch, Phys. Rev. Lett. 97,
    170201 (2006).

    **Arguments:**

    - `dt_start`, `dt_max`: initial and maximum time step, length / energy^(1/2) in the
      system's own units.
    - `n_min`: downhill steps before the time step grows.
    - `f_inc`, `f_dec`: factors by which the time step grows and shrinks.
    - `alpha_start`, `f_alpha`: initial mixing, and the factor by which it decays.
    """

    dt_start: Float[Array, ""] = eqx.field(converter=to_float, default=0.1)
    dt_max: Float[Array, ""] = eqx.field(converter=to_float, default=0.4)
    n_min: Float[Array, ""] = eqx.field(converter=to_float, default=5)
    f_inc: Float[Array, ""] = eqx.field(converter=to_float, default=1.1)
    f_dec: Float[Array, ""] = eqx.field(converter=to_float, default=0.5)
    alpha_start: Float[Array, ""] = eqx.field(converter=to_float, default=0.1)
    f_alpha: Float[Array, ""] = eqx.field(converter=to_float, default=0.99)

    def update(
        self,
        gradient: Float[Array, "atoms 3"],
        state: FireState,
        positions: Float[Array, "atoms 3"],
        *,
        value: Float[Array, ""],
        context: Context,
    ) -> tuple[Float[Array, "atoms 3"], FireState]:
        force = jnp.clip(-gradient, -MAX_FORCE, MAX_FORCE)

        started = state.downhill >= 0
        velocity = state.velocity + jnp.where(started, state.dt / 2, 0) * force
        # In the first update the velocity and the power are zero, and nothing changes.
        power = jnp.sum(force * velocity)
        speed = jnp.sqrt(jnp.sum(velocity**2))
        # 1e-6 as in jax-md: no division by zero at a minimum.
        size = jnp.sqrt(jnp.sum(force**2) + 1e-6)
        velocity = velocity + state.alpha * (force * (speed / size) - velocity)
        uphill = ~(power >= 0)
        velocity = jnp.where(uphill, 0, velocity)
        downhill = jnp.where(uphill, 0, state.downhill + 1)
        grow = (power > 0) & (downhill > self.n_min)
        dt, alpha = self._adapt(state, grow=grow, reset=uphill)

        velocity = velocity + dt / 2 * force
        velocity = jnp.clip(velocity, -MAX_FORCE, MAX_FORCE)
        return dt * velocity, FireState(velocity, dt, alpha, downhill)


def fire(
    system: SystemInfo,
    dt_start: ArrayLike = 0.005,
    dt_max: ArrayLike = 0.04,
) -> Fire:
    """`Fire` with time steps in the system's reduced units, length / energy^(1/2).

    With jax-md's defaults (0.1 and 0.4) Lennard-Jones clusters fly apart. The default
    initial time step is on the grid of Learn2Hop, appendix C.1.

    **Arguments:**

    - `system`: provides the units.
    - `dt_start`, `dt_max`: initial and maximum time step.
    """
    unit = system.length / jnp.sqrt(system.energy_unit)
    return Fire(dt_start=dt_start * unit, dt_max=dt_max * unit)
