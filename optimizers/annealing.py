"""Simulated annealing by Langevin dynamics."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from hopgym.context import Context
from hopgym.optimizers.base import AbstractOptimizer, real

# Radius of close-packed atoms with nearest neighbours at 1, of which there are sqrt(2)
# in a unit of volume, divided by the cube root of their number.
CLUSTER_RADIUS = 0.553
WALL = 10.0  # stiffness of the container, energy / length^2


class AnnealingState(eqx.Module):
    """**Attributes:** `velocity`, length / time in reduced units; `step`; `key`."""

    velocity: Float[Array, "atoms 3"]
    step: Int[Array, ""]
    key: PRNGKeyArray


class Annealing(AbstractOptimizer[AnnealingState]):
    """Simulated annealing: Langevin dynamics at a falling temperature.

    Everything is in reduced units: the system's length, its energy unit, mass 1. At
    step t of `steps`, with the progress p = t / ((1 - quench) steps), the temperature
    is

        T = hot (cold / hot)^p   for p < 1
        T = 0                    afterwards: a quench by friction

    One step is BAOAB (B. Leimkuhler and C. Matthews, Appl. Math. Res. Express 2013, 34)
    with its half kicks of the same gradient joined, so it costs one evaluation:

        v <- v - dt g,  x <- x + dt v / 2,
        v <- c v + sqrt((1 - c^2) T) xi,  x <- x + dt v / 2,   c = exp(-friction dt)

    with normal xi that do not move the centre of mass. At a fixed temperature it
    samples the canonical distribution (exactly for a harmonic well). In free space a
    harmonic wall around the centroid keeps evaporated atoms; it lies `room` outside of
    a compact cluster, whose radius is 0.553 atoms^(1/3). Speeds above max_step / dt,
    which only overlaps cause, are cut to it.

    S. Kirkpatrick, C. D. Gelatt and M. P. Vecchi, Science 220, 671 (1983).

    **Arguments:**

    - `steps`: length of the run.
    - `hot`, `cold`: temperatures at its beginning and before the quench, in energy
      units.
    - `quench`: fraction of the run at zero temperature.
    - `dt`: time step, length / energy^(1/2).
    - `friction`: 1 / time.
    - `max_step`: longest step of an atom, in lengths.
    - `room`: between cluster and wall, in lengths.
    """

    steps: Int[Array, ""]
    hot: Float[Array, ""]
    cold: Float[Array, ""]
    quench: Float[Array, ""]
    dt: Float[Array, ""]
    friction: Float[Array, ""]
    max_step: Float[Array, ""]
    room: Float[Array, ""]

    def __init__(
        self,
        steps: int,
        hot: ArrayLike = 0.3,
        cold: ArrayLike = 0.05,
        quench: ArrayLike = 0.05,
        dt: ArrayLike = 0.04,
        friction: ArrayLike = 1.0,
        max_step: ArrayLike = 0.2,
        room: ArrayLike = 1.0,
    ):
        self.steps = jnp.asarray(steps, jnp.int32)
        self.hot = real(hot)
        self.cold = real(cold)
        self.quench = real(quench)
        self.dt = real(dt)
        self.friction = real(friction)
        self.max_step = real(max_step)
        self.room = real(room)

    def temperature(self, step: Int[Array, ""]) -> Float[Array, ""]:
        """The temperature of a step, in energy units."""
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
            gradient = gradient + self._wall(positions / context.length)
        velocity = state.velocity - self.dt * gradient
        velocity = _shortened(velocity, self.max_step / self.dt)
        keep = jnp.exp(-self.friction * self.dt)
        temperature = self.temperature(state.step)
        key, draw = jax.random.split(state.key)
        noise = jax.random.normal(draw, positions.shape, positions.dtype)
        noise = noise - jnp.mean(noise, axis=0)
        kicked = keep * velocity + jnp.sqrt((1 - keep**2) * temperature) * noise
        step = self.dt / 2 * (velocity + kicked)
        return step * context.length, AnnealingState(kicked, state.step + 1, key)

    def _wall(self, positions: Float[Array, "atoms 3"]) -> Float[Array, "atoms 3"]:
        """Gradient of the container's energy, in reduced units."""
        outward = positions - jnp.mean(positions, axis=0)
        distance = jnp.sqrt(jnp.sum(outward**2, axis=1, keepdims=True) + 1e-12)
        radius = CLUSTER_RADIUS * len(positions) ** (1 / 3) + self.room
        push = WALL * jnp.maximum(distance - radius, 0) * outward / distance
        return push - jnp.mean(push, axis=0)


def _shortened(
    vectors: Float[Array, "atoms 3"], longest: Float[Array, ""]
) -> Float[Array, "atoms 3"]:
    """Vectors with their lengths cut to `longest`."""
    length = jnp.sqrt(jnp.sum(vectors**2, axis=1, keepdims=True))
    return vectors * jnp.where(length > longest, longest / length, 1)
