"""Two-phase quench: under compression first, then free.

Locatelli and Schoen, Comput. Optim. Appl. 21, 55 (2002): compact starts favour
compact structures and bridge funnels. Here the first phase adds mu sum_i |r_i - c|^2,
c the centroid.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from hopgym.context import Context
from hopgym.optimizers.base import AbstractLocalOptimizer, real


class TwoPhaseState(eqx.Module):
    """State of the optimizer at work, and whether this is the first phase."""

    local: Any
    compressing: Bool[Array, ""]


class TwoPhase(AbstractLocalOptimizer[TwoPhaseState]):
    """Quench E + mu sum_i |r_i - c|^2, then E from where that led.

    The compression is known without an evaluation, so both phases cost what a quench
    of E costs.

    **Arguments:**

    - `local`: quenches in both phases.
    - `pressure`: mu in units of energy / length^2.
    - `force`: largest force on an atom, in units of energy / length, at which the
      first phase ends.
    """

    local: AbstractLocalOptimizer
    pressure: Float[Array, ""]
    force: Float[Array, ""]

    def __init__(
        self, local: AbstractLocalOptimizer, pressure: float = 5.0, force: float = 0.5
    ):
        self.local = local
        self.pressure = real(pressure)
        self.force = real(force)

    def init(
        self, positions: Float[Array, "atoms 3"], *, key: PRNGKeyArray, context: Context
    ) -> TwoPhaseState:
        return TwoPhaseState(
            local=self.local.init(positions, key=key, context=context),
            compressing=jnp.asarray(True),
        )

    def finished(self, state: TwoPhaseState) -> Bool[Array, ""]:
        return ~state.compressing & self.local.finished(state.local)

    def restart(self, state: TwoPhaseState, when: Bool[Array, ""]) -> TwoPhaseState:
        return TwoPhaseState(
            local=self.local.restart(state.local, when),
            compressing=state.compressing | when,
        )

    def update(
        self,
        gradient: Float[Array, "atoms 3"],
        state: TwoPhaseState,
        positions: Float[Array, "atoms 3"],
        *,
        value: Float[Array, ""],
        context: Context,
    ) -> tuple[Float[Array, "atoms 3"], TwoPhaseState]:
        stiffness = self.pressure * context.energy_unit / context.length**2
        stiffness = jnp.where(state.compressing, stiffness, 0)
        about = positions - jnp.mean(positions, axis=0)
        pressed = gradient + 2 * stiffness * about
        displacement, local = self.local.update(
            pressed,
            state.local,
            positions,
            value=value + stiffness * jnp.sum(about**2),
            context=context,
        )
        largest = jnp.sqrt(jnp.max(jnp.sum(pressed**2, axis=1)))
        rest = largest < self.force * context.energy_unit / context.length
        released = state.compressing & (rest | self.local.finished(local))
        return displacement, TwoPhaseState(
            local=self.local.restart(local, released),
            compressing=state.compressing & ~released,
        )
