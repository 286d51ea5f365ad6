"""Basin hopping in symmetric subspaces, in turns with ordinary basin hopping.

Minima of high symmetry are few and often low, and a quench of a symmetric structure
stays symmetric: a search in the subspace of a point group, or of the translations of a
box, has only N / |G| atoms to place. Orbits of atoms are moved as wholes, after Oakley,
Johnston and Wales, Phys. Chem. Chem. Phys. 15, 3965 (2013); promising structures are
improved by searches on the lattice of atoms and vacant sites, after Shao, Cheng and
Cai, J. Comput. Chem. 25, 1693 (2004).
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray

from hopgym._batching import batched_cond, choose_tree
from hopgym._checks import POSITIVE, check_fields
from hopgym._converters import to_int
from hopgym._keys import as_key
from hopgym._unrolled_random import unroll
from hopgym.context import Context, SystemInfo
from hopgym.optimizers.base import AbstractOptimizer
from hopgym.optimizers.basin_hopping import (
    BasinHopping,
    bh_lbfgs,
    cluster_moves,
    make_hop_quench,
)
from hopgym.optimizers.lbfgs import LBFGS
from hopgym.optimizers.moves import AbstractMove
from hopgym.optimizers.quench_end import Forecast, QuenchEnd, follow_quench
from hopgym.optimizers.symmetry.choices.base import AbstractChoice, Situation
from hopgym.optimizers.symmetry.choices.merit import ByMerit
from hopgym.optimizers.symmetry.cluster_move import MoveKind
from hopgym.optimizers.symmetry.evidence import add_end, add_epoch
from hopgym.optimizers.symmetry.prior import Prior
from hopgym.optimizers.symmetry.progress import (
    GAIN,
    Phase,
    Progress,
    get_allowed,
    judge,
    make_progress,
)
from hopgym.optimizers.symmetry.rules import Rules
from hopgym.optimizers.symmetry.subspaces import AbstractSubspaces, make_subspaces
from hopgym.optimizers.two_phase import TwoPhase, TwoPhaseState


class SymmetricState(eqx.Module):
    """State of the search, and of the current quench.

    **Attributes:**

    - `progress`: state of the search.
    - `local`, `evaluations`: state and evaluations of the quench.
    - `forecast`: of the quench, `None` if all are completed.
    """

    progress: Progress
    local: TwoPhaseState
    evaluations: Int[Array, ""]
    forecast: Forecast | None = None


class SymmetricBasinHopping(AbstractOptimizer[SymmetricState]):
    """Epochs of basin hopping in symmetric subspaces, and a walk outside them.

    An epoch draws a group, fills its subspace at random, and hops there: structures
    stay symmetric, and are quenched to a loose tolerance only. The best one is quenched
    to a tight tolerance, improved by surface searches, and left by free hops if it is
    promising. Between epochs an ordinary basin hopping goes on, which continues from
    what epochs have found if that is lower.

    **Arguments:**

    - `subspaces`: the groups of the system, and moves within their subspaces.
    - `local`: the optimizer of quenches; compression applies to starts of epochs.
    - `move`: of the ordinary basin hopping.
    - `rules`: constants of the search.
    - `choice`: of the groups of epochs.
    - `max_evaluations`: maximum number of evaluations per quench.
    - `quench_end`: ends quenches of hops early; `None` completes all.
    """

    subspaces: AbstractSubspaces
    local: TwoPhase
    move: AbstractMove
    rules: Rules = eqx.field(default_factory=Rules)
    choice: AbstractChoice = eqx.field(default_factory=ByMerit)
    max_evaluations: Int[Array, ""] = eqx.field(converter=to_int, default=1000)
    quench_end: QuenchEnd | None = None

    def __check_init__(self):
        check_fields(self, max_evaluations=POSITIVE)
        self.choice.check(len(self.subspaces.names))
        if not isinstance(self.local.local, LBFGS):
            raise ValueError(
                "a search in symmetric subspaces needs quenches by LBFGS, whose "
                f"tolerance it changes, got {type(self.local.local).__name__}"
            )

    def init(
        self, positions: Float[Array, "atoms 3"], *, key: PRNGKeyArray, context: Context
    ) -> SymmetricState:
        key, local_key = jax.random.split(as_key(key))
        groups = self.subspaces.logits.shape[0]
        progress = make_progress(key, positions, groups, context)
        local = self.local.init(positions, key=local_key, context=context)
        infinite = jnp.asarray(jnp.inf, positions.dtype)
        return SymmetricState(
            progress,
            local,
            jnp.zeros((), jnp.int32),
            self.quench_end and Forecast(infinite, infinite),
        )

    def update(
        self,
        gradient: Float[Array, "atoms 3"],
        state: SymmetricState,
        positions: Float[Array, "atoms 3"],
        *,
        value: Float[Array, ""],
        context: Context,
    ) -> tuple[Float[Array, "atoms 3"], SymmetricState]:
        phase = state.progress.phase
        quench = self.local.local
        assert isinstance(quench, LBFGS)
        loose = (phase == Phase.START) | (phase == Phase.HOP)
        local = eqx.tree_at(
            lambda two_phase: two_phase.local.force,
            self.local,
            jnp.where(
                loose,
                self.rules.loose * state.progress.epoch.decision.loose,
                quench.force,
            ),
        )
        descent, opt_state = local.update(
            gradient, state.local, positions, value=value, context=context
        )
        ended = local.finished(opt_state) | (state.evaluations >= self.max_evaluations)
        ended = ended | ~jnp.isfinite(value) | (phase == Phase.INITIAL)
        if self.quench_end is not None and state.forecast is not None:
            ended = ended | self.quench_end.is_in_vain(
                state.forecast, value, gradient, descent, state.evaluations, context
            )
        allowed = state.forecast and state.forecast.allowed
        displacement, progress, compress, allowed = batched_cond(
            ended,
            _hop,
            (descent, state.progress, ended, allowed),
            (self.subspaces, self.move, self.rules, self.choice),
            positions,
            value,
            state.evaluations + 1,
            context,
            parts=64,
        )
        opt_state = local.restart(opt_state, ended)
        compressing = jnp.where(ended, compress, opt_state.compressing)
        return displacement, SymmetricState(
            progress=progress,
            local=eqx.tree_at(lambda s: s.compressing, opt_state, compressing),
            evaluations=jnp.where(ended, 0, state.evaluations + 1),
            forecast=follow_quench(allowed, value, ended),
        )


def _hop(last, model, positions, value, evaluations, context):
    """Judge the structure at which a quench has ended, and go to the next start.

    **Returns:** the displacement, the new state, whether the quench starts compressed,
    and the energy below which its end will be accepted.
    """
    subspaces, move, rules, choice = model
    _, progress, _, allowed = last
    value = jnp.where(jnp.isfinite(value), value, jnp.inf)
    keys = jax.random.split(unroll(progress.key), 6)
    progress = judge(rules, progress, keys[1], positions, value, evaluations, context)
    progress = _plan(subspaces, rules, choice, progress, keys[2], context)
    kind, count, reach = _choose_move(subspaces, rules, progress, keys[3])
    has_begun = progress.phase == Phase.START
    epoch, walk = progress.epoch, progress.walk
    odds = rules.compressed * epoch.decision.compressed
    compressed = odds / (odds + (1 - rules.compressed))
    compress = has_begun & (jax.random.uniform(keys[0]) < compressed)
    hop_key, walk_key = jax.random.split(keys[4])
    inside = subspaces.propose(
        hop_key,
        epoch.positions,
        kind=kind,
        count=count,
        reach=reach.astype(positions.dtype),
        group=epoch.group,
        frame=epoch.frame,
        context=context,
    )
    outside = move.propose(walk_key, walk.positions, walk.scale, context)
    outside = jnp.where(jnp.isfinite(walk.energy), outside, walk.positions)
    proposal = jnp.where(progress.phase == Phase.WALK, outside, inside)
    progress = eqx.tree_at(lambda p: p.key, progress, keys[5])
    if allowed is not None:
        accept_key = jax.random.split(unroll(progress.key), 6)[1]  # as above
        allowed = get_allowed(rules, progress, accept_key, context)
        allowed = allowed.astype(value.dtype)
        is_hop = ~has_begun & (progress.phase != Phase.POLISH)
        allowed = jnp.where(is_hop, allowed, jnp.inf)
    return proposal - positions, progress, compress & subspaces.has_surface, allowed


def _plan(subspaces, rules, choice, progress, key, context) -> Progress:
    """Decide what the next quench is for, and begin a new epoch when one has ended."""
    phase, epoch, walk = progress.phase, progress.epoch, progress.walk
    unit = context.energy_unit
    is_polish, is_surface = phase == Phase.POLISH, phase == Phase.SURFACE
    atoms = epoch.positions.shape[0]
    # Hops in the subspace come to an end: polish their best structure, or give it up.
    inside = (phase == Phase.START) | (phase == Phase.HOP)
    patience = rules.patience * epoch.decision.patience
    patience = patience * atoms / subspaces.orders[epoch.group] / 15
    orbits = atoms / subspaces.orders[epoch.group]
    patience = patience * (orbits / 15) ** (rules.patience_power - 1)
    done = inside & (epoch.stalled >= jnp.maximum(patience, 1))
    evidence = add_epoch(
        progress.evidence, epoch.group, epoch.best_energy, epoch.evaluations, done
    )
    give_up = rules.give_up * epoch.decision.give_up * unit
    polish = done & (epoch.best_energy <= progress.lowest + give_up)
    # Surface searches go on while they improve; then free hops, if it is promising.
    improved = is_surface & (epoch.stalled == 0) & (epoch.rounds < rules.rounds)
    refine = (is_polish | improved) & subspaces.has_surface
    refined = (is_polish | is_surface) & ~refine
    promising = epoch.energy < progress.lowest + rules.promising * unit
    free = refined & promising & subspaces.has_surface
    free = free | ((phase == Phase.FREE) & (epoch.stalled < rules.free_patience))
    hop = inside & ~done
    behind = rules.walk_share * progress.evaluations - walk.evaluations
    walk_on = (phase == Phase.WALK) & (behind > 0)
    over = ~(hop | polish | refine | free | walk_on)
    set_out = over & (behind > rules.walk_lag)
    begin = over & ~set_out
    has_ended = over & (phase != Phase.WALK) & (phase != Phase.INITIAL)
    evidence = add_end(evidence, epoch.group, epoch.best_energy, unit, has_ended)

    group_key, frame_key = jax.random.split(key)
    situation = Situation(
        subspaces.logits, evidence, unit, progress.evaluations, progress.epochs
    )
    decision = choice.choose(group_key, rules, situation)
    frame = subspaces.draw_frame(frame_key)
    adopt = set_out & (progress.lowest < walk.lowest - GAIN * unit)
    next_phase = phase
    for condition, new in (
        *((hop, Phase.HOP), (polish, Phase.POLISH), (refine, Phase.SURFACE)),
        *((free, Phase.FREE), (set_out | walk_on, Phase.WALK), (begin, Phase.START)),
    ):
        next_phase = jnp.where(condition, new, next_phase)
    epoch = eqx.tree_at(
        lambda e: (
            *(e.decision, e.frame, e.positions, e.energy, e.stalled, e.rounds),
            e.evaluations,
        ),
        epoch,
        (
            choose_tree(begin, decision, epoch.decision),
            jnp.where(begin, frame, epoch.frame),
            jnp.where(polish, epoch.best_positions, epoch.positions),
            jnp.where(polish, epoch.best_energy, epoch.energy),
            jnp.where(begin | polish | refined, 0, epoch.stalled),
            jnp.where(begin | polish, 0, epoch.rounds),
            jnp.where(begin, 0, epoch.evaluations),
        ),
    )
    walk = eqx.tree_at(
        lambda w: (w.positions, w.energy, w.lowest),
        walk,
        (
            jnp.where(adopt, progress.lowest_positions, walk.positions),
            jnp.where(adopt, progress.lowest, walk.energy),
            jnp.where(adopt, progress.lowest, walk.lowest),
        ),
    )
    return eqx.tree_at(
        lambda p: (p.phase, p.epoch, p.walk, p.evidence, p.epochs),
        progress,
        (
            next_phase.astype(jnp.int32),
            epoch,
            walk,
            evidence,
            progress.epochs + begin,
        ),
    )


def _choose_move(subspaces, rules, progress, key):
    """Kind, number and reach of the move to the next start."""
    phase = progress.phase
    hop_key, exchange_key, free_key, count_key = jax.random.split(key, 4)
    hop = jax.random.categorical(hop_key, jnp.log(rules.hops))
    kind = jnp.where(hop == 2, MoveKind.SHAKE, MoveKind.DROP)
    free_hops = rules.free_hops
    if subspaces.is_alloy:
        exchange = jax.random.uniform(exchange_key) < rules.exchanges
        kind = jnp.where(exchange, MoveKind.EXCHANGE, kind)
        free_hops = free_hops.at[3].set(0)  # symmetrisations know no species
    free_kinds = (
        *(MoveKind.SHAKE_FREELY, MoveKind.MOVE_WEAKEST),
        *(MoveKind.SEARCH_OR_MOVE, MoveKind.SYMMETRISE),
    )
    free_hop = jax.random.categorical(free_key, jnp.log(free_hops))
    is_free = phase == Phase.FREE
    kind = jnp.where(is_free, jnp.array(free_kinds)[free_hop], kind)
    kind = jnp.where(phase == Phase.SURFACE, MoveKind.SEARCH_SURFACE, kind)
    kind = jnp.where(phase == Phase.START, MoveKind.START, kind)
    kind = jnp.where(phase == Phase.POLISH, MoveKind.NONE, kind)
    one_or_two = jax.random.randint(count_key, (), 1, 3)
    count = jnp.where(is_free, one_or_two, jnp.where(hop == 1, 2, 1))
    reach = jnp.where(is_free, rules.free_reach, rules.reach)
    return kind.astype(jnp.int32), count.astype(jnp.int32), reach


def bh_symmetric(
    system: SystemInfo,
    *,
    rules: Rules | None = None,
    prior: Prior | None = None,
    choice: AbstractChoice | None = None,
    pressure: ArrayLike = 10.0,
    step_size: ArrayLike = 0.36,
    surface: ArrayLike = 0.4,
    exchange: ArrayLike = 0.5,
) -> SymmetricBasinHopping | BasinHopping:
    """Basin hopping in symmetric subspaces and outside, one configuration for all.

    Where there are no such subspaces (constrained atoms, cells that are not rectangular
    or not periodic along all axes, boxes that cannot be divided) it is
    [`hopgym.optimizers.bh_lbfgs`][].

    **Arguments:**

    - `system`: determines the groups and the moves.
    - `rules`: constants of the search.
    - `prior`: of the groups.
    - `choice`: of the groups of epochs, by default
      [`hopgym.optimizers.symmetry.choices.merit.ByMerit`][].
    - `pressure`: see [`hopgym.optimizers.TwoPhase`][].
    - `step_size`, `surface`, `exchange`: of the ordinary basin hopping, see
      [`hopgym.optimizers.basin_hopping.cluster_moves`][].
    """
    subspaces = make_subspaces(system, prior)
    if subspaces is None:
        return bh_lbfgs(system, step_size, surface=surface, exchange=exchange)
    return SymmetricBasinHopping(
        subspaces,
        TwoPhase(make_hop_quench(), pressure),
        cluster_moves(system, step_size, surface, exchange),
        Rules() if rules is None else rules,
        ByMerit() if choice is None else choice,
    )
