"""Basin hopping: a walk over local minima.

Wales and Doye, J. Phys. Chem. A 101, 5111 (1997); Learn2Hop, appendix C.2.
"""

from __future__ import annotations

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from hopgym._batching import batched_cond
from hopgym.context import Context
from hopgym.optimizers.base import AbstractLocalOptimizer, AbstractOptimizer, real
from hopgym.optimizers.fixed_length import FixedLength
from hopgym.optimizers.lbfgs import LBFGS
from hopgym.optimizers.moves import (
    AbstractMove,
    Exchange,
    GaussianShake,
    Mixture,
    Shake,
    SurfaceMove,
)
from hopgym.optimizers.optax_wrapper import adam
from hopgym.optimizers.two_phase import TwoPhase


class BasinHoppingState(eqx.Module):
    """The minimum the walk is at, and the quench under way.

    `used` counts the evaluations of this quench, `hops` the quenches finished, `size`
    is the factor by which moves are scaled.
    """

    key: PRNGKeyArray
    local: Any
    positions: Float[Array, "atoms 3"]
    energy: Float[Array, ""]
    size: Float[Array, ""]
    used: Int[Array, ""]
    hops: Int[Array, ""]


class BasinHopping(AbstractOptimizer[BasinHoppingState]):
    """Quench, accept or go back, move, quench again.

    A minimum of energy E is accepted in place of the present one, E0, with
    probability min(1, exp[-(E - E0) / T]). After each hop the size of moves is
    multiplied by exp[adapt (accepted - target)], within a factor of 4 of where it
    began.

    **Arguments:**

    - `local`: quenches.
    - `move`: proposes where the next quench begins.
    - `temperature`: T in units of energy; 0 accepts improvements only, infinity all.
    - `adapt`: rate of adaptation, 0 for none.
    - `target`: fraction of accepted hops aimed for.
    - `longest`: evaluations after which a quench counts as finished.
    """

    local: AbstractLocalOptimizer
    move: AbstractMove
    temperature: Float[Array, ""]
    adapt: Float[Array, ""]
    target: Float[Array, ""]
    longest: Int[Array, ""]

    def __init__(
        self,
        local: AbstractLocalOptimizer,
        move: AbstractMove,
        temperature: float = 0.8,
        adapt: float = 0.05,
        target: float = 0.5,
        longest: int = 1000,
    ):
        self.local = local
        self.move = move
        self.temperature = real(temperature)
        self.adapt = real(adapt)
        self.target = real(target)
        self.longest = jnp.asarray(longest, jnp.int32)

    def init(
        self, positions: Float[Array, "atoms 3"], *, key: PRNGKeyArray, context: Context
    ) -> BasinHoppingState:
        walk_key, local_key = jax.random.split(key)
        none = jnp.zeros((), jnp.int32)
        return BasinHoppingState(
            key=walk_key,
            local=self.local.init(positions, key=local_key, context=context),
            positions=positions,
            energy=jnp.asarray(jnp.inf, positions.dtype),
            size=jnp.ones((), positions.dtype),
            used=none,
            hops=none,
        )

    def update(
        self,
        gradient: Float[Array, "atoms 3"],
        state: BasinHoppingState,
        positions: Float[Array, "atoms 3"],
        *,
        value: Float[Array, ""],
        context: Context,
    ) -> tuple[Float[Array, "atoms 3"], BasinHoppingState]:
        descent, local = self.local.update(
            gradient, state.local, positions, value=value, context=context
        )
        quenched = self.local.finished(local) | (state.used >= self.longest)

        words = jax.random.key_data(state.key)
        walk = (words, state.positions, state.energy, state.size)
        rules = (self.move, self.temperature, self.adapt, self.target)
        proposal, (words, place, energy, size) = batched_cond(
            quenched,
            functools.partial(_hop, jax.random.key_impl(state.key)),
            (state.positions, walk),
            rules,
            walk,
            positions,
            value,
            context,
            parts=64,
        )
        return jnp.where(quenched, proposal - positions, descent), BasinHoppingState(
            key=jax.random.wrap_key_data(words, impl=jax.random.key_impl(state.key)),
            local=self.local.restart(local, quenched),
            positions=place,
            energy=energy,
            size=size,
            used=jnp.where(quenched, 0, state.used + 1),
            hops=state.hops + quenched,
        )


def _hop(kind, rules, walk, positions, value, context):
    """Accept the minimum or go back, and propose where to begin the next quench."""
    move, temperature, adapt, target = rules
    words, place, energy, size = walk
    key = jax.random.wrap_key_data(words, impl=kind)
    key, accept_key, move_key = jax.random.split(key, 3)
    # -T log(u) is how far up a hop may go.
    allowance = temperature * context.energy_unit * jax.random.exponential(accept_key)
    allowance = jnp.where(temperature > 0, allowance, 0).astype(value.dtype)
    accepted = value < energy + allowance
    place = jnp.where(accepted, positions, place)
    size = jnp.clip(size * jnp.exp(adapt * (accepted - target)), 0.25, 4.0)
    proposal = move.propose(move_key, place, size, context)
    words = jax.random.key_data(key)
    return proposal, (words, place, jnp.where(accepted, value, energy), size)


def cluster_moves(system: Any, step: float, surface: float, exchange: float) -> Mixture:
    """Shaking, surface moves in free space, and exchanges in alloys.

    **Arguments:**

    - `system`: a `hopgym.System`.
    - `step`: of [`hopgym.optimizers.Shake`][].
    - `surface`, `exchange`: fractions of hops that are of that kind, where they make
      sense.
    """
    surface = surface if system.box is None else 0.0
    exchange = exchange if len(set(system.species.tolist())) > 1 else 0.0
    kinds: list[tuple[AbstractMove, float]] = [
        (Shake(step), 1 - surface - exchange),
        (SurfaceMove(), surface),
        (Exchange(), exchange),
    ]
    moves, weights = zip(*(kind for kind in kinds if kind[1] > 0), strict=True)
    return Mixture(moves, weights)


def between_hops(force: float = 0.05) -> LBFGS:
    """L-BFGS for quenches that need not be exact; moves were tuned with its steps."""
    return LBFGS(force=force, max_step=0.2, rise=0.1)


def bh_paper(step: ArrayLike = 0.4, learning_rate: ArrayLike = 1e-2) -> BasinHopping:
    """The paper's basin hopping (C.2): 5,000 steps of Adam a hop, improvements only.

    **Arguments:**

    - `step`: standard deviation of the hops, in the system's own unit of length.
    - `learning_rate`: of Adam.
    """
    quench = FixedLength(adam(learning_rate), 5000)
    return BasinHopping(
        quench, GaussianShake(step), temperature=0.0, adapt=0.0, longest=5000
    )


def bh_lbfgs(
    system: Any,
    step: float = 0.36,
    temperature: float = 0.8,
    surface: float = 0.4,
    exchange: float = 0.5,
    adapt: float = 0.02,
) -> BasinHopping:
    """Basin hopping with L-BFGS quenches, Metropolis acceptance and adaptive steps.

    **Arguments:** see [`hopgym.optimizers.basin_hopping.cluster_moves`][] and
    [`hopgym.optimizers.BasinHopping`][].
    """
    moves = cluster_moves(system, step, surface, exchange)
    return BasinHopping(between_hops(), moves, temperature, adapt=adapt)


def bh_two_phase(
    system: Any,
    step: float = 0.36,
    temperature: float = 1.0,
    pressure: float = 10.0,
    exchange: float = 0.5,
    adapt: float = 0.02,
) -> BasinHopping:
    """Basin hopping whose quenches begin under compression.

    A periodic box fixes the density; there it is basin hopping without surface moves.

    **Arguments:** see [`hopgym.optimizers.TwoPhase`][] and
    [`hopgym.optimizers.BasinHopping`][].
    """
    local: AbstractLocalOptimizer = between_hops()
    if system.box is None:
        local = TwoPhase(local, pressure)
    moves = cluster_moves(system, step, 0.0, exchange)
    return BasinHopping(local, moves, temperature, adapt=adapt)
