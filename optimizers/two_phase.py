"""Two-phase quenches: first under compression, then of the energy itself.

M. Locatelli and F. Schoen, Comput. Optim. Appl. 21, 55 (2002): compression favours
compact structures and connects funnels. Here the first phase adds mu sum_i |r_i - c|^2
to the energy, with the centroid c.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from hopgym._checks import NOT_NEGATIVE, check_fields
from hopgym._converters import to_float
from hopgym.context import Context
from hopgym.optimizers.base import AbstractLocalOptimizer
from hopgym.optimizers.lbfgs import get_force_tolerance


class TwoPhaseState(eqx.Module):
    """State of the local optimizer, and whether this is the first phase."""

    local: Any
    compressing: Bool[Array, ""]


class TwoPhase(AbstractLocalOptimizer[TwoPhaseState]):
    """Minimise E + mu sum_i |r_i - c|^2, then E from the resulting structure.

    The compression needs no evaluation of the potential, and does not act on
    constrained atoms.

    **Arguments:**

    - `local`: the optimizer of both phases.
    - `pressure`: mu, in units of energy / length^2.
    - `force`: largest force on an atom at the end of the first phase, in units of
      energy / length.
    """

    local: AbstractLocalOptimizer
    pressure: Float[Array, ""] = eqx.field(converter=to_float, default=5.0)
    force: Float[Array, ""] = eqx.field(converter=to_float, default=0.5)

    def __check_init__(self):
        check_fields(self, pressure=NOT_NEGATIVE, force=NOT_NEGATIVE)

    def init(
        self, positions: Float[Array, "atoms 3"], *, key: PRNGKeyArray, context: Context
    ) -> TwoPhaseState:
        return TwoPhaseState(
            local=self.local.init(positions, key=key, context=context),
            compressing=jnp.asarray(True),
        )

    @property
    def force_tolerance(self) -> Float[Array, ""]:
        """Largest force on an atom at convergence, in units of energy / length."""
        return get_force_tolerance(self.local)

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
        centred = positions - jnp.mean(positions, axis=0)
        if context.freedom is not None:
            centred = jnp.where(context.unconstrained[:, None], centred, 0)
        compressed = gradient + 2 * stiffness * centred
        displacement, local = self.local.update(
            compressed,
            state.local,
            positions,
            value=value + stiffness * jnp.sum(centred**2),
            context=context,
        )
        largest = jnp.sqrt(jnp.max(jnp.sum(compressed**2, axis=1)))
        relaxed = largest < self.force * context.energy_unit / context.length
        released = state.compressing & (relaxed | self.local.finished(local))
        return displacement, TwoPhaseState(
            local=self.local.restart(local, released),
            compressing=state.compressing & ~released,
        )
