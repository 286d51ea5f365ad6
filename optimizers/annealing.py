"""Simulated annealing by Langevin dynamics."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from hopgym._checks import (
    DECAY,
    FINITE,
    LIMIT,
    NOT_NEGATIVE,
    POSITIVE,
    check_fields,
)
from hopgym._converters import to_float, to_int
from hopgym._unrolled_random import unroll
from hopgym.context import Context
from hopgym.optimizers.base import AbstractOptimizer

# Radius of a sphere of close-packed atoms with a nearest-neighbour distance of 1
# (number density sqrt(2)), divided by the cube root of their number.
CLUSTER_RADIUS = 0.553
WALL_STIFFNESS = 10.0  # energy / length^2


class AnnealingState(eqx.Module):
    """State of Langevin dynamics.

    **Attributes:**

    - `velocity`: velocities, length / time in reduced units.
    - `step`: number of updates.
    - `key`: random key of the following updates.
    """

    velocity: Float[Array, "atoms 3"]
    step: Int[Array, ""]
    key: PRNGKeyArray


class Annealing(AbstractOptimizer[AnnealingState]):
    """Simulated annealing: Langevin dynamics at a decreasing temperature.

    All quantities are in reduced units: the system's units of length and energy, and
    mass 1. At step t, with p = t / ((1 - quench) steps), the temperature is

        T = hot (cold / hot)^p   for p < 1
        T = 0                    afterwards: a quench by friction

    The integrator is BAOAB (B. Leimkuhler and C. Matthews, Appl. Math. Res. Express
    2013, 34) with the two half kicks by the same gradient merged, so that a step costs
    one evaluation:

        v <- v - dt g,  x <- x + dt v / 2,
        v <- c v + sqrt((1 - c^2) T) xi,  x <- x + dt v / 2,   c = exp(-friction dt)

    with normal random numbers xi that do not move the centre of mass. At constant
    temperature it samples the canonical distribution (exactly in a harmonic well). In
    free space a harmonic wall around the centroid holds evaporated atoms; its radius is
    that of a compact cluster, 0.553 atoms^(1/3), plus `room`. Speeds are limited to
    max_step / dt, which only overlapping atoms would exceed.

    S. Kirkpatrick, C. D. Gelatt and M. P. Vecchi, Science 220, 671 (1983).

    **Arguments:**

    - `steps`: length of the run.
    - `hot`, `cold`: temperatures at the start and before the quench, in units of
      energy.
    - `quench`: fraction of the run at zero temperature.
    - `dt`: time step, in units of length / energy^(1/2).
    - `friction`: friction coefficient, in units of energy^(1/2) / length.
    - `max_step`: maximum displacement of an atom in one step, in units of length.
    - `room`: distance between cluster and wall, in units of length.
    """

    steps: Int[Array, ""] = eqx.field(converter=to_int)
    hot: Float[Array, ""] = eqx.field(converter=to_float, default=0.3)
    cold: Float[Array, ""] = eqx.field(converter=to_float, default=0.05)
    quench: Float[Array, ""] = eqx.field(converter=to_float, default=0.05)
    dt: Float[Array, ""] = eqx.field(converter=to_float, default=0.04)
    friction: Float[Array, ""] = eqx.field(converter=to_float, default=1.0)
    max_step: Float[Array, ""] = eqx.field(converter=to_float, default=0.2)
    room: Float[Array, ""] = eqx.field(converter=to_float, default=1.0)

    def __check_init__(self):
        check_fields(
            self,
            steps=POSITIVE,
            hot=POSITIVE,
            cold=NOT_NEGATIVE,
            quench=DECAY,
            dt=POSITIVE,
            friction=NOT_NEGATIVE,
            max_step=LIMIT,
            room=FINITE,
        )

    def temperature(self, step: Int[Array, ""]) -> Float[Array, ""]:
        """Temperature at a step, in units of energy."""
        progress = step / ((1 - self.quench) * self.steps)
        falling = self.hot * (self.cold / self.hot) ** jnp.minimum(progress, 1)
        return jnp.where(progress < 1, falling, 0)

    def init(
        self, positions: Float[Array, "atoms 3"], *, key: PRNGKeyArray, context: Context
    ) -> AnnealingState:
        return AnnealingState(
            velocity=jnp.zeros_like(positions),
            step=jnp.asarray(0, jnp.int32),
            key=key,
        )

    def update(
        self,
        gradient: Float[Array, "atoms 3"],
        state: AnnealingState,
        positions: Float[Array, "atoms 3"],
        *,
        value: Float[Array, ""],
        context: Context,
    ) -> tuple[Float[Array, "atoms 3"], AnnealingState]:
        gradient = gradient * (context.length / context.energy_unit)
        if context.box is None:
            gradient = gradient + self._push_back(positions / context.length)
        velocity = state.velocity - self.dt * gradient
        velocity = _clip_lengths(velocity, self.max_step / self.dt)
        keep = jnp.exp(-self.friction * self.dt)
        temperature = self.temperature(state.step)
        key, draw = jax.random.split(state.key)
        noise = jax.random.normal(unroll(draw), positions.shape, positions.dtype)
        noise = noise - jnp.mean(noise, axis=0)
        kicked = keep * velocity + jnp.sqrt((1 - keep**2) * temperature) * noise
        step = self.dt / 2 * (velocity + kicked)
        return step * context.length, AnnealingState(kicked, state.step + 1, key)

    def _push_back(self, positions: Float[Array, "atoms 3"]) -> Float[Array, "atoms 3"]:
        """Gradient of the energy of the wall, in reduced units."""
        outward = positions - jnp.mean(positions, axis=0)
        distance = jnp.sqrt(jnp.sum(outward**2, axis=1, keepdims=True) + 1e-12)
        radius = CLUSTER_RADIUS * len(positions) ** (1 / 3) + self.room
        push = WALL_STIFFNESS * jnp.maximum(distance - radius, 0) * outward / distance
        return push - jnp.mean(push, axis=0)


def _clip_lengths(
    vectors: Float[Array, "atoms 3"], limit: Float[Array, ""]
) -> Float[Array, "atoms 3"]:
    """Scale vectors longer than `limit` to that length."""
    length = jnp.sqrt(jnp.sum(vectors**2, axis=1, keepdims=True))
    return vectors * jnp.where(length > limit, limit / length, 1)
