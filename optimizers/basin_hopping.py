"""Basin hopping: a random walk over local minima.

Wales and Doye, J. Phys. Chem. A 101, 5111 (1997); Learn2Hop, appendix C.2.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from hopgym._batching import batched_cond, choose_tree
from hopgym._checks import (
    FRACTION,
    LIMIT,
    NOT_NEGATIVE,
    POSITIVE,
    check_fields,
    check_number,
    is_known,
)
from hopgym._converters import to_float, to_int
from hopgym._keys import as_key
from hopgym._unrolled_random import unroll
from hopgym.context import Context, SystemInfo
from hopgym.optimizers.base import AbstractLocalOptimizer, AbstractOptimizer
from hopgym.optimizers.fixed_length import FixedLength
from hopgym.optimizers.lbfgs import LBFGS
from hopgym.optimizers.moves import (
    AbstractMove,
    Exchange,
    GaussianShake,
    Mixture,
    Redraw,
    Shake,
    SurfaceMove,
    check_species,
)
from hopgym.optimizers.optax_wrapper import adam
from hopgym.optimizers.quench_end import Forecast, QuenchEnd, follow_quench
from hopgym.optimizers.restart_rule import (
    RestartRule,
    Stall,
    follow_walk,
    make_stall,
)
from hopgym.optimizers.two_phase import TwoPhase


class BasinHoppingState(eqx.Module):
    """State of the walk and of the current quench.

    **Attributes:**

    - `key`: random key of the following hops.
    - `local`: state of the local optimizer.
    - `positions`, `energy`: the current minimum of the walk.
    - `scale`: factor by which moves are scaled.
    - `evaluations`: evaluations of the current quench so far.
    - `hops`: number of completed quenches.
    - `forecast`: of the current quench, `None` if all are completed.
    - `stall`: how long nothing lower was found, `None` if the walk is never restarted.
    """

    key: PRNGKeyArray
    local: Any
    positions: Float[Array, "atoms 3"]
    energy: Float[Array, ""]
    scale: Float[Array, ""]
    evaluations: Int[Array, ""]
    hops: Int[Array, ""]
    forecast: Forecast | None = None
    stall: Stall | None = None


class BasinHopping(AbstractOptimizer[BasinHoppingState]):
    """Quench, accept the minimum or return to the last one, move, and repeat.

    A minimum of energy E replaces the current one, of energy E0, with probability
    min(1, exp[-(E - E0) / T]). After each hop the size of moves is multiplied by
    exp[adaptation_rate (accepted - target_acceptance)], within a factor of 4 of its
    initial value. A structure whose energy is not finite ends a quench, and is not
    accepted.

    **Arguments:**

    - `local`: the optimizer of the quenches.
    - `move`: proposes the start of the next quench.
    - `temperature`: T in units of energy; 0 accepts improvements only, infinity all
      minima.
    - `adaptation_rate`: rate at which the size of moves adapts; 0 keeps it fixed.
    - `target_acceptance`: fraction of accepted hops that the adaptation aims for.
    - `max_evaluations`: maximum number of evaluations per quench.
    - `quench_end`: ends quenches early; `None` completes all.
    - `restart`: restarts the walk from random structures; `None` never does.
    """

    local: AbstractLocalOptimizer
    move: AbstractMove
    temperature: Float[Array, ""] = eqx.field(converter=to_float, default=0.8)
    adaptation_rate: Float[Array, ""] = eqx.field(converter=to_float, default=0.05)
    target_acceptance: Float[Array, ""] = eqx.field(converter=to_float, default=0.5)
    max_evaluations: Int[Array, ""] = eqx.field(converter=to_int, default=1000)
    quench_end: QuenchEnd | None = None
    restart: RestartRule | None = None

    def __check_init__(self):
        check_fields(
            self,
            temperature=LIMIT,
            adaptation_rate=NOT_NEGATIVE,
            target_acceptance=FRACTION,
            max_evaluations=POSITIVE,
        )

    def init(
        self, positions: Float[Array, "atoms 3"], *, key: PRNGKeyArray, context: Context
    ) -> BasinHoppingState:
        walk_key, local_key = jax.random.split(as_key(key))
        zero = jnp.zeros((), jnp.int32)
        infinite = jnp.asarray(jnp.inf, positions.dtype)
        return BasinHoppingState(
            key=walk_key,
            local=self.local.init(positions, key=local_key, context=context),
            positions=positions,
            energy=infinite,
            scale=jnp.ones((), positions.dtype),
            evaluations=zero,
            hops=zero,
            forecast=self.quench_end and Forecast(infinite, infinite),
            stall=self.restart and make_stall(positions.dtype),
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
        quenched = self.local.finished(local) | (
            state.evaluations >= self.max_evaluations
        )
        quenched = quenched | ~jnp.isfinite(value)
        if self.quench_end is not None and state.forecast is not None:
            quenched = quenched | self.quench_end.is_in_vain(
                state.forecast, value, gradient, descent, state.evaluations, context
            )
        allowed = state.forecast and state.forecast.allowed
        walk = (state.key, state.positions, state.energy, state.scale, allowed)
        rules = (
            self.move,
            self.temperature,
            self.adaptation_rate,
            self.target_acceptance,
            self.restart,
        )
        displacement, (key, minimum, energy, scale, allowed), stall = batched_cond(
            quenched,
            _hop,
            (descent, walk, state.stall),
            rules,
            positions,
            value,
            context,
            parts=64,
        )
        return displacement, BasinHoppingState(
            key=key,
            local=self.local.restart(local, quenched),
            positions=minimum,
            energy=energy,
            scale=scale,
            evaluations=jnp.where(quenched, 0, state.evaluations + 1),
            hops=state.hops + quenched,
            forecast=follow_quench(allowed, value, quenched),
            stall=stall,
        )


def _hop(last, rules, positions, value, context):
    """Accept the minimum or return to the last one, and go to the next start."""
    move, temperature, adaptation_rate, target_acceptance, restart = rules
    _, (key, minimum, energy, scale, allowed), stall = last
    key = unroll(key)
    restart_key = jax.random.fold_in(key, 3)  # beside the three that follow
    key, accept_key, move_key = jax.random.split(key, 3)
    allowance = _draw_allowance(accept_key, temperature, context)
    accepted = value < energy + allowance.astype(value.dtype)
    minimum = jnp.where(accepted, positions, minimum)
    scale = adapt_scale(scale, accepted, adaptation_rate, target_acceptance)
    proposal = move.propose(move_key, minimum, scale, context)
    energy = jnp.where(accepted, value, energy)
    if restart is not None:
        stall = follow_walk(stall, value, context)
        due_key, start_key = jax.random.split(restart_key)
        is_due = restart.is_due(due_key, stall)
        start = Redraw().propose(start_key, minimum, scale, context)
        new = start, start, jnp.full_like(energy, jnp.inf), jnp.ones_like(scale)
        proposal, minimum, energy, scale, stall = choose_tree(
            is_due,
            (*new, make_stall(value.dtype)),
            (proposal, minimum, energy, scale, stall),
        )
    if allowed is not None:
        # As above, at the end of the next quench.
        _, accept_key, _ = jax.random.split(key, 3)
        allowance = _draw_allowance(accept_key, temperature, context)
        allowed = energy + allowance.astype(value.dtype)
    return proposal - positions, (key, minimum, energy, scale, allowed), stall


def _draw_allowance(
    key: PRNGKeyArray, temperature: Any, context: Context
) -> Float[Array, ""]:
    """Metropolis: the energy may rise by up to -T log(u), with uniform u."""
    allowance = temperature * context.energy_unit * jax.random.exponential(key)
    return jnp.where(temperature > 0, allowance, 0)


def adapt_scale(
    scale: Float[Array, ""],
    accepted: Bool[Array, ""],
    rate: ArrayLike,
    target: ArrayLike,
) -> Float[Array, ""]:
    """Adapt the size of moves to the acceptance, within a factor of 4 of 1.

    **Arguments:** see [`hopgym.optimizers.BasinHopping`][].
    """
    return jnp.clip(scale * jnp.exp(rate * (accepted - target)), 0.25, 4.0)


def cluster_moves(
    system: SystemInfo, step_size: ArrayLike, surface: ArrayLike, exchange: ArrayLike
) -> Mixture:
    """Mixture of shakes, surface moves (in free space) and exchanges (in alloys).

    Surface moves and exchanges need atoms without constraints.

    **Arguments:**

    - `system`: determines which kinds of moves apply.
    - `step_size`: see [`hopgym.optimizers.Shake`][].
    - `surface`, `exchange`: fractions of surface moves and exchanges, where these
      apply.

    **Raises:** `ValueError` for fractions that are negative or add up to more than 1,
    and for a system whose species are not known, in a traced function.
    """
    for what, fraction in (("surface", surface), ("exchange", exchange)):
        check_number(f"{what}, a fraction of the moves,", fraction, FRACTION)
    check_species(system)
    species = np.asarray(system.species)
    if system.freedom is not None:
        species = species[np.asarray(system.freedom) == 3]
    surface = surface if system.box is None and species.size else 0.0
    exchange = exchange if len(set(species.tolist())) > 1 else 0.0
    shake: ArrayLike = 1 - surface - exchange
    if is_known(shake) and np.any(np.asarray(shake) < 0):
        raise ValueError(
            "the fractions of the moves must not add up to more than 1, got "
            f"surface={surface} and exchange={exchange}"
        )
    kinds: list[tuple[AbstractMove, ArrayLike]] = [
        (Shake(step_size), shake),
        (SurfaceMove(), surface),
        (Exchange(), exchange),
    ]
    # Those that are known not to occur are left out.
    moves, weights = zip(
        *(kind for kind in kinds if not is_known(kind[1]) or np.any(kind[1])),
        strict=True,
    )
    return Mixture(moves, weights)


def make_hop_quench(force: float = 0.05) -> LBFGS:
    """L-BFGS for the quenches of searches, with a loose tolerance.

    The hyper-parameters of searches were tuned with its maximum step.

    **Arguments:**

    - `force`: see [`hopgym.optimizers.LBFGS`][].
    """
    return LBFGS(force=force, max_step=0.2, rise=0.1)


def bh_paper(std: ArrayLike = 0.4, learning_rate: ArrayLike = 1e-2) -> BasinHopping:
    """The paper's basin hopping (C.2): 5,000 steps of Adam per hop, improvements only.

    **Arguments:**

    - `std`: standard deviation of the hops, in the potential's own unit of length.
    - `learning_rate`: learning rate of Adam.
    """
    return BasinHopping(
        FixedLength(adam(learning_rate), 5000),
        GaussianShake(std),
        temperature=0.0,
        adaptation_rate=0.0,
        max_evaluations=5000,
    )


def bh_lbfgs(
    system: SystemInfo,
    step_size: ArrayLike = 0.36,
    temperature: ArrayLike = 0.8,
    surface: ArrayLike = 0.4,
    exchange: ArrayLike = 0.5,
    adaptation_rate: ArrayLike = 0.02,
) -> BasinHopping:
    """Basin hopping with L-BFGS quenches, Metropolis acceptance and adaptive steps.

    **Arguments:** see [`hopgym.optimizers.basin_hopping.cluster_moves`][] and
    [`hopgym.optimizers.BasinHopping`][].
    """
    moves = cluster_moves(system, step_size, surface, exchange)
    return BasinHopping(
        make_hop_quench(), moves, temperature, adaptation_rate=adaptation_rate
    )


def bh_two_phase(
    system: SystemInfo,
    step_size: ArrayLike = 0.36,
    temperature: ArrayLike = 1.0,
    pressure: ArrayLike = 10.0,
    exchange: ArrayLike = 0.5,
    adaptation_rate: ArrayLike = 0.02,
) -> BasinHopping:
    """Basin hopping with quenches that start under compression.

    In a periodic box, which fixes the density, quenches are ordinary ones.

    **Arguments:** see [`hopgym.optimizers.TwoPhase`][] and
    [`hopgym.optimizers.BasinHopping`][].
    """
    local: AbstractLocalOptimizer = make_hop_quench()
    if system.box is None:
        local = TwoPhase(local, pressure)
    moves = cluster_moves(system, step_size, 0.0, exchange)
    return BasinHopping(local, moves, temperature, adaptation_rate=adaptation_rate)
