"""Basin hopping in symmetric subspaces, in turns with basin hopping."""

from __future__ import annotations

import enum
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from hopgym._batching import batched_cond
from hopgym._converters import to_float, to_int
from hopgym._keys import as_key
from hopgym.cell import Cell
from hopgym.context import Context, SystemInfo
from hopgym.optimizers.base import AbstractOptimizer
from hopgym.optimizers.basin_hopping import cluster_moves, make_hop_quench
from hopgym.optimizers.moves import AbstractMove
from hopgym.optimizers.symmetry import cluster_move
from hopgym.optimizers.symmetry.cluster_move import MoveKind
from hopgym.optimizers.symmetry.point_groups import list_point_groups
from hopgym.optimizers.symmetry.translation_groups import list_translation_groups
from hopgym.optimizers.two_phase import TwoPhase


class Phase(enum.IntEnum):
    """What the current quench is for."""

    INITIAL = 0  # the structure that the search was given; not quenched
    START = 1  # start of an epoch
    SYMMETRIC = 2  # hop within the subspace
    POLISH = 3  # lowest structure of the epoch, now to a tight tolerance
    SURFACE = 4  # surface search of a promising structure
    FREE = 5  # hop from a promising structure, out of the subspace
    WALK = 6  # hop of the basin hopping that goes on between epochs


class SymmetricState(eqx.Module):
    key: PRNGKeyArray
    local: Any
    evaluations: Int[Array, ""]
    search: Search


class Search(eqx.Module):
    """State of the search between quenches."""

    phase: Int[Array, ""]
    hops: Int[Array, ""]
    epochs: Int[Array, ""]
    group: Int[Array, ""]
    frame: Float[Array, "3 3"]
    positions: Float[Array, "atoms 3"]
    energy: Float[Array, ""]
    epoch_positions: Float[Array, "atoms 3"]
    epoch_energy: Float[Array, ""]
    stalled: Int[Array, ""]
    rounds: Int[Array, ""]
    lowest: Float[Array, ""]
    searched: Float[Array, ""]
    best_positions: Float[Array, "atoms 3"]
    group_lowest: Float[Array, " groups"]
    walk_positions: Float[Array, "atoms 3"]
    walk_energy: Float[Array, ""]
    walk_lowest: Float[Array, ""]
    walk_scale: Float[Array, ""]
    walk_rise: Float[Array, ""]
    walk_left: Int[Array, ""]
    walk_spent: Int[Array, ""]
    spent: Int[Array, ""]


def _field(default, converter=to_float):
    return eqx.field(converter=converter, default=default)


class Rules(eqx.Module):
    """Constants of the search."""

    temperature: Float[Array, ""] = _field(2.0)
    double: Float[Array, ""] = _field(-2.47)
    shake: Float[Array, ""] = _field(-2.46)
    reach: Float[Array, ""] = _field(0.168)
    exchange: Float[Array, ""] = _field(0.3)
    patience: Float[Array, ""] = _field(5.0)
    give_up: Float[Array, ""] = _field(10.0)
    compress: Float[Array, ""] = _field(0.66)
    floor: Float[Array, ""] = _field(0.62)
    spread: Float[Array, ""] = _field(3.0)
    promising: Float[Array, ""] = _field(0.27)
    free_temperature: Float[Array, ""] = _field(3.25)
    free_reach: Float[Array, ""] = _field(0.06)
    free_weights: Float[Array, "4"] = _field((0.5, 0.23, 0.21, 0.06))
    free_patience: Int[Array, ""] = _field(5, to_int)
    walk_share: Float[Array, ""] = _field(0.1)
    walk_hops: Int[Array, ""] = _field(3, to_int)
    walk_temperature: Float[Array, ""] = _field(0.8)
    walk_adaptation: Float[Array, ""] = _field(0.02)
    adopt: Float[Array, ""] = _field(1.0)
    relative: Float[Array, ""] = _field(0.3)


class SymmetricBasinHopping(AbstractOptimizer[SymmetricState]):
    local: TwoPhase
    move: AbstractMove
    rules: Rules
    operations: Float[Array, "groups most 3 3"]
    orders: Int[Array, " groups"]
    logits: Float[Array, " groups"]
    source: Int[Array, "groups atoms"] | None
    shift: Float[Array, "groups atoms 3"] | None
    kinds: int = eqx.field(static=True)
    symmetric: bool = eqx.field(static=True)
    loose: Float[Array, ""] = _field(3.0)
    max_evaluations: Int[Array, ""] = _field(1000, to_int)

    def init(self, positions, *, key, context: Context) -> SymmetricState:
        key, local_key = jax.random.split(as_key(key))
        zero = jnp.zeros((), jnp.int32)
        infinite = jnp.asarray(jnp.inf, positions.dtype)
        return SymmetricState(
            key=key,
            local=self.local.init(positions, key=local_key, context=context),
            evaluations=zero,
            search=Search(
                phase=zero,
                hops=zero,
                epochs=zero,
                group=zero,
                frame=jnp.eye(3, dtype=positions.dtype),
                positions=positions,
                energy=infinite,
                epoch_positions=positions,
                epoch_energy=infinite,
                stalled=zero,
                rounds=zero,
                lowest=infinite,
                searched=infinite,
                best_positions=positions,
                group_lowest=jnp.full(self.logits.shape, infinite),
                walk_positions=positions,
                walk_energy=infinite,
                walk_lowest=infinite,
                walk_scale=jnp.ones((), positions.dtype),
                walk_rise=context.energy_unit.astype(positions.dtype),
                walk_left=zero,
                walk_spent=zero,
                spent=zero,
            ),
        )

    def update(self, gradient, state, positions, *, value, context: Context):
        phase = state.search.phase
        loose = (phase == Phase.START) | (phase == Phase.SYMMETRIC)
        tight = self.local.local.force
        local = eqx.tree_at(
            lambda two: two.local.force,
            self.local,
            jnp.where(loose, self.loose, tight).astype(tight.dtype),
        )
        descent, opt = local.update(
            gradient, state.local, positions, value=value, context=context
        )
        ended = (
            local.finished(opt)
            | (state.evaluations >= self.max_evaluations)
            | ~jnp.isfinite(value)
            | (phase == Phase.INITIAL)
        )
        model = (
            self.move,
            self.rules,
            self.operations,
            self.orders,
            self.logits,
            self.source,
            self.shift,
        )
        proposal, key, search, compress = batched_cond(
            ended,
            self._hop,
            (positions, state.key, state.search, state.evaluations < 0),
            model,
            state.key,
            state.search,
            positions,
            value,
            state.evaluations,
            context,
            parts=64,
        )
        opt = local.restart(opt, ended)
        opt = eqx.tree_at(
            lambda s: s.compressing, opt, jnp.where(ended, compress, opt.compressing)
        )
        return jnp.where(ended, proposal - positions, descent), SymmetricState(
            key=key,
            local=opt,
            evaluations=jnp.where(ended, 0, state.evaluations + 1),
            search=search,
        )

    def _hop(self, model, key, search, positions, value, cost, context):
        move, rules, operations, orders, logits, source, shift = model
        atoms = positions.shape[0]
        unit = context.energy_unit
        value = jnp.where(jnp.isfinite(value), value, jnp.inf)
        key, accept_key, next_key = jax.random.split(key, 3)
        s = search
        phase = s.phase
        is_walk = phase == Phase.WALK
        is_start = phase == Phase.START
        is_symmetric = phase == Phase.SYMMETRIC
        is_polish = phase == Phase.POLISH
        is_surface = phase == Phase.SURFACE
        is_free = phase == Phase.FREE
        initial = phase == Phase.INITIAL

        # Acceptance.
        temperature = jnp.where(
            is_walk,
            jnp.where(rules.relative > 0, rules.relative * s.walk_rise / unit, rules.walk_temperature),
            jnp.where(is_free, rules.free_temperature, rules.temperature),
        )
        allowance = temperature * unit * jax.random.exponential(accept_key)
        reference = jnp.where(is_walk, s.walk_energy, s.energy)
        allowance = jnp.where(is_surface, -1e-3 * unit, allowance)
        accepted = value < reference + allowance.astype(value.dtype)
        accepted = (accepted | is_start | is_polish) & ~initial
        taken = accepted & ~is_walk
        current = jnp.where(taken, positions, s.positions)
        energy = jnp.where(taken, value, s.energy)
        walked = accepted & is_walk
        walk_positions = jnp.where(walked, positions, s.walk_positions)
        walk_energy = jnp.where(walked, value, s.walk_energy)
        factor = jnp.exp(rules.walk_adaptation * (accepted - 0.5))
        walk_scale = jnp.where(
            is_walk, jnp.clip(s.walk_scale * factor, 0.25, 4.0), s.walk_scale
        )
        rise = jnp.minimum(jnp.abs(value - s.walk_energy), 10 * unit)
        measured = is_walk & jnp.isfinite(s.walk_energy)
        walk_rise = jnp.where(
            measured, 0.95 * s.walk_rise + 0.05 * rise, s.walk_rise
        ).astype(value.dtype)
        walk_lowest = jnp.where(
            is_walk, jnp.minimum(s.walk_lowest, value), s.walk_lowest
        )
        improved = is_start | is_polish | (value < s.epoch_energy - 1e-3 * unit)
        improved = improved & ~is_walk & ~initial
        epoch_energy = jnp.where(improved, value, s.epoch_energy)
        epoch_positions = jnp.where(improved, positions, s.epoch_positions)
        stalled = jnp.where(improved, 0, s.stalled + 1)
        lowest = jnp.where(initial, s.lowest, jnp.minimum(s.lowest, value))

        # What comes next.
        order = orders[s.group]
        patience = jnp.maximum(1.0, rules.patience * (atoms / order / 15))
        over = (is_start | is_symmetric) & (stalled >= patience)
        group_lowest = jnp.where(
            over,
            s.group_lowest.at[s.group].min(epoch_energy),
            s.group_lowest,
        )
        searched = jnp.where(
            is_walk | initial, s.searched, jnp.minimum(s.searched, value)
        )
        hopeless = over & (epoch_energy > searched + rules.give_up * unit)
        polish = over & ~hopeless
        refine = is_polish | (is_surface & accepted & (s.rounds < 8))
        refined = is_surface & ~refine
        near = energy < searched + rules.promising * unit
        free = (refined & near) | (is_free & (stalled < rules.free_patience))
        stalled = jnp.where(refined | polish, 0, stalled)
        walk_left = s.walk_left - is_walk
        walk_on = is_walk & (walk_left > 0)
        new = (
            hopeless
            | (refined & ~near)
            | (is_free & ~free)
            | (is_walk & ~walk_on)
            | initial
        )
        keys = jax.random.split(next_key, 8)
        # The next epoch: a group, or the walk.
        best_group = jnp.min(group_lowest)
        share = rules.walk_share
        spent = s.spent + cost + 1
        walk_spent = s.walk_spent + jnp.where(is_walk, cost + 1, 0)
        walk_new = new & (walk_spent < share * spent)
        walk_new = new if not self.symmetric else walk_new
        start = new & ~walk_new
        tried = jnp.isfinite(group_lowest)
        merit = jnp.where(
            tried, -(group_lowest - best_group) / (rules.spread * unit), -1.0
        )
        merit = jnp.where(jnp.any(tried), merit, 0.0)
        guided = jax.random.uniform(keys[1]) > rules.floor
        drawn = jax.random.categorical(keys[2], logits + jnp.where(guided, merit, 0))
        group = jnp.where(start, drawn, s.group).astype(jnp.int32)
        frame = jnp.where(start, _draw_rotation(keys[3], positions.dtype), s.frame)
        compress = start & (jax.random.uniform(keys[4]) < rules.compress)

        next_phase = jnp.where(start, Phase.START, phase)
        next_phase = jnp.where(is_start | is_symmetric, Phase.SYMMETRIC, next_phase)
        next_phase = jnp.where(polish, Phase.POLISH, next_phase)
        next_phase = jnp.where(refine, Phase.SURFACE, next_phase)
        next_phase = jnp.where(free, Phase.FREE, next_phase)
        next_phase = jnp.where(start, Phase.START, next_phase)
        walking = walk_new | walk_on
        next_phase = jnp.where(walking, Phase.WALK, next_phase).astype(jnp.int32)

        # The proposal.
        hop = jax.random.categorical(
            keys[5], jnp.stack([jnp.zeros_like(rules.double), rules.double, rules.shake])
        )
        kind = jnp.where(hop == 2, MoveKind.SHAKE, MoveKind.DROP)
        if self.kinds > 1:
            exchange = jax.random.uniform(keys[7]) < rules.exchange
            kind = jnp.where(exchange, MoveKind.EXCHANGE, kind)
        count = jnp.where(hop == 1, 2, 1)
        weights = rules.free_weights
        if self.kinds > 1:
            weights = weights.at[3].set(0)
        which, number_key = jax.random.split(keys[6])
        free_hop = jax.random.categorical(which, jnp.log(weights))
        free_kind = jnp.array(
            [
                MoveKind.SHAKE_FREELY,
                MoveKind.MOVE_WEAKEST,
                MoveKind.SEARCH_OR_MOVE,
                MoveKind.SYMMETRISE,
            ]
        )[free_hop]
        kind = jnp.where(free, free_kind, kind)
        count = jnp.where(free, jax.random.randint(number_key, (), 1, 3), count)
        kind = jnp.where(refine, MoveKind.SEARCH_SURFACE, kind)
        kind = jnp.where(start, MoveKind.START, kind)
        kind = jnp.where(polish | walking, MoveKind.NONE, kind)
        origin = jnp.where(polish, epoch_positions, current)
        radius = (3 * 2.0 * atoms / (2**0.5 * 4 * jnp.pi)) ** (1 / 3)
        reach = jnp.where(kind == MoveKind.SHAKE, rules.reach, rules.free_reach)
        reach = jnp.where(start, radius, reach)
        seed_key, walk_key = jax.random.split(keys[7])
        if self.source is not None:
            proposal = self._propose_in_box(
                seed_key, kind, origin, group, reach, source, shift, context
            )
        elif not self.symmetric:
            proposal = origin
        else:
            proposal = cluster_move.propose(
                origin,
                context.species,
                context.length,
                operations,
                orders,
                kinds=self.kinds,
                seed=jax.random.bits(seed_key, (2,), jnp.uint32),
                kind=kind.astype(jnp.int32),
                count=count.astype(jnp.int32),
                reach=reach,
                group=group,
                frame=frame,
            )
        # A better structure from a subspace is where the walk goes on.
        adopt = walk_new & (rules.adopt > 0) & (searched < walk_lowest - 1e-2 * unit)
        walk_positions = jnp.where(adopt, s.best_positions, walk_positions)
        walk_energy = jnp.where(adopt, searched, walk_energy)
        walk_lowest = jnp.where(adopt, searched, walk_lowest)
        moved = move.propose(walk_key, walk_positions, walk_scale, context)
        moved = jnp.where(jnp.isfinite(walk_energy), moved, walk_positions)
        proposal = jnp.where(walking, moved, proposal)
        search = Search(
            phase=next_phase,
            hops=s.hops + ~initial,
            epochs=s.epochs + new,
            group=group,
            frame=frame,
            positions=jnp.where(polish, epoch_positions, current),
            energy=jnp.where(polish, epoch_energy, energy),
            epoch_positions=epoch_positions,
            epoch_energy=epoch_energy,
            stalled=jnp.where(new, 0, stalled).astype(jnp.int32),
            rounds=jnp.where(polish, 0, s.rounds + is_surface).astype(jnp.int32),
            lowest=lowest,
            searched=searched,
            best_positions=jnp.where(searched < s.searched, positions, s.best_positions),
            group_lowest=group_lowest,
            walk_positions=walk_positions,
            walk_energy=walk_energy,
            walk_lowest=walk_lowest,
            walk_scale=walk_scale,
            walk_rise=walk_rise,
            walk_left=jnp.where(walk_new, rules.walk_hops, walk_left).astype(jnp.int32),
            walk_spent=walk_spent,
            spent=spent,
        )
        return proposal, key, search, compress

    def _propose_in_box(self, key, kind, origin, group, reach, source, shift, context):
        """Shake within the subspace, or freely, or start anew."""
        noise = jax.random.uniform(key, origin.shape, origin.dtype)
        own, shift = source[group], shift[group]
        edges = context.box
        shaken = origin + context.length * reach * (2 * noise - 1)
        drawn = edges * noise  # folded into the first part below
        begun = kind == MoveKind.START
        first = jnp.where(begun, drawn, shaken)
        # Parts are equal: the first one decides.
        largest = jnp.max(shift, axis=0)
        parts = jnp.round(1 / (1 - largest))
        first = jnp.where(begun, first / parts, first)
        repeated = first[own] + shift * edges
        free = (kind == MoveKind.SHAKE_FREELY) | (kind == MoveKind.MOVE_WEAKEST)
        free = free | (kind == MoveKind.SEARCH_OR_MOVE) | (kind == MoveKind.SYMMETRISE)
        keep = (kind == MoveKind.NONE) | (kind == MoveKind.SEARCH_SURFACE)
        return jnp.where(keep, origin, jnp.where(free, shaken, repeated))


def _draw_rotation(key, dtype) -> Float[Array, "3 3"]:
    """A uniform rotation, from a normal quaternion."""
    q = jax.random.normal(key, (4,), dtype)
    w, x, y, z = q / jnp.maximum(jnp.linalg.norm(q), 1e-6)
    return jnp.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def bh_symmetric(system: SystemInfo, **settings) -> SymmetricBasinHopping:
    atoms = system.atoms
    species = np.asarray(system.species)
    rules = Rules(**settings)
    operations = np.eye(3)[None, None]
    orders, logits = np.ones(1, int), np.zeros(1)
    source = shift = None
    symmetric = False
    if system.freedom is None and system.box is None:
        groups = [
            g
            for g in list_point_groups()
            if 1 < g.order <= min(24, atoms // 2)
        ]
        if groups:
            symmetric = True
            most = max(g.order for g in groups)
            operations = np.stack(
                [
                    np.concatenate(
                        [g.operations, np.zeros((most - g.order, 3, 3))]
                    )
                    for g in groups
                ]
            )
            orders = np.array([g.order for g in groups])
            logits = np.array(
                [
                    -0.709 * np.log(g.order)
                    + 5.76 * g.is_pentagonal
                    - 4.16 * g.is_trigonal
                    + 7.2 * g.is_polyhedral
                    - 1.92 * g.is_improper
                    for g in groups
                ]
            )
    elif system.freedom is None and not isinstance(system.box, Cell):
        groups = list_translation_groups(
            np.asarray(system.box), float(system.length), species
        )
        if groups:
            symmetric = True
            orders = np.array([g.order for g in groups])
            logits = 2 * np.log(orders)
            source = jnp.asarray(np.stack([g.source for g in groups]), jnp.int32)
            shift = to_float(np.stack([g.shift for g in groups]))
    return SymmetricBasinHopping(
        local=TwoPhase(make_hop_quench(), 10.0),
        move=cluster_moves(system, 0.36, 0.4, 0.5),
        rules=rules,
        operations=to_float(operations),
        orders=jnp.asarray(orders, jnp.int32),
        logits=to_float(logits),
        source=source,
        shift=shift,
        kinds=len(set(species.tolist())),
        symmetric=symmetric,
    )
