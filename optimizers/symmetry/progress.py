"""State of a search in symmetric subspaces between quenches."""

from __future__ import annotations

import enum

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from hopgym.context import Context
from hopgym.optimizers.basin_hopping import adapt_scale
from hopgym.optimizers.symmetry.choices.base import Decision, decide
from hopgym.optimizers.symmetry.evidence import Evidence, make_evidence
from hopgym.optimizers.symmetry.rules import Rules

GAIN = 1e-3  # smallest improvement that counts, in units of energy
MOST_RISE = 10.0  # by which a hop enters the mean rise of the walk, in units of energy


class Phase(enum.IntEnum):
    """What the current quench is for."""

    INITIAL = 0  # nothing yet: the structure that the search was given
    START = 1  # first structure of an epoch
    HOP = 2  # within the subspace
    POLISH = 3  # lowest structure of the epoch, from a loose to a tight tolerance
    SURFACE = 4  # found by a surface search
    FREE = 5  # hop from a promising structure, out of the subspace
    WALK = 6  # hop of the ordinary basin hopping


class Epoch(eqx.Module):
    """The search in one subspace.

    **Attributes:**

    - `decision`, `frame`: the group and how it is searched, and its orientation.
    - `positions`, `energy`: the current minimum.
    - `best_positions`, `best_energy`: the lowest minimum of the epoch.
    - `stalled`: hops since it was found.
    - `rounds`: surface searches so far.
    - `evaluations`: spent on it so far.
    """

    decision: Decision
    frame: Float[Array, "3 3"]
    positions: Float[Array, "atoms 3"]
    energy: Float[Array, ""]
    best_positions: Float[Array, "atoms 3"]
    best_energy: Float[Array, ""]
    stalled: Int[Array, ""]
    rounds: Int[Array, ""]
    evaluations: Int[Array, ""]

    @property
    def group(self) -> Int[Array, "*batch"]:
        """Index of its group."""
        return self.decision.group


class Walk(eqx.Module):
    """The ordinary basin hopping.

    **Attributes:**

    - `positions`, `energy`: the current minimum.
    - `lowest`: its lowest energy.
    - `scale`: factor by which moves are scaled.
    - `rise`: mean change of the energy by a hop.
    - `evaluations`: spent on it so far.
    """

    positions: Float[Array, "atoms 3"]
    energy: Float[Array, ""]
    lowest: Float[Array, ""]
    scale: Float[Array, ""]
    rise: Float[Array, ""]
    evaluations: Int[Array, ""]


class Progress(eqx.Module):
    """State of the search between quenches.

    **Attributes:**

    - `key`: random key of what follows.
    - `phase`: a `Phase`.
    - `epoch`, `walk`: state of the two searches.
    - `lowest`, `lowest_positions`: the lowest minimum of all epochs.
    - `evidence`: what the epochs of each group have found.
    - `hops`, `epochs`, `evaluations`: numbers so far.
    """

    key: PRNGKeyArray
    phase: Int[Array, ""]
    epoch: Epoch
    walk: Walk
    lowest: Float[Array, ""]
    lowest_positions: Float[Array, "atoms 3"]
    evidence: Evidence
    hops: Int[Array, ""]
    epochs: Int[Array, ""]
    evaluations: Int[Array, ""]


def make_progress(
    key: PRNGKeyArray, positions: Float[Array, "atoms 3"], groups: int, context: Context
) -> Progress:
    """The state before the first quench."""
    zero = jnp.zeros((), jnp.int32)
    infinite = jnp.asarray(jnp.inf, positions.dtype)
    frame = jnp.eye(3, dtype=positions.dtype)
    return Progress(
        key=key,
        phase=zero,
        epoch=Epoch(
            decide(zero, positions.dtype),
            *(frame, positions, infinite, positions, infinite, zero, zero, zero),
        ),
        walk=Walk(
            positions,
            infinite,
            lowest=infinite,
            scale=jnp.ones_like(infinite),
            rise=context.energy_unit.astype(positions.dtype),
            evaluations=zero,
        ),
        lowest=infinite,
        lowest_positions=positions,
        evidence=make_evidence(groups, positions.dtype),
        hops=zero,
        epochs=zero,
        evaluations=zero,
    )


def get_allowed(
    rules: Rules, progress: Progress, key: PRNGKeyArray, context: Context
) -> Float[Array, ""]:
    """Energy below which `judge` will accept a structure, but for new epochs.

    **Arguments:** see `judge`.
    """
    phase, unit = progress.phase, context.energy_unit
    is_walk = phase == Phase.WALK
    # Metropolis; a surface search has to be an improvement.
    temperature = jnp.where(
        phase == Phase.FREE, rules.free_temperature, rules.temperature
    )
    temperature = jnp.where(
        is_walk, rules.walk_temperature * progress.walk.rise, temperature * unit
    )
    allowance = temperature * jax.random.exponential(key)
    allowance = jnp.where(phase == Phase.SURFACE, -GAIN * unit, allowance)
    energy = jnp.where(is_walk, progress.walk.energy, progress.epoch.energy)
    return energy + allowance.astype(energy.dtype)


def judge(
    rules: Rules,
    progress: Progress,
    key: PRNGKeyArray,
    positions: Float[Array, "atoms 3"],
    value: Float[Array, ""],
    evaluations: Int[Array, ""],
    context: Context,
) -> Progress:
    """Accept the structure as the current one, or not, and keep it if it is the best.

    **Arguments:**

    - `positions`, `value`: where the quench has ended.
    - `evaluations`: how many it took.
    """
    phase, epoch, walk = progress.phase, progress.epoch, progress.walk
    unit = context.energy_unit
    is_initial, is_walk = phase == Phase.INITIAL, phase == Phase.WALK
    in_epoch = ~is_initial & ~is_walk
    is_new = (phase == Phase.START) | (phase == Phase.POLISH)
    allowed = get_allowed(rules, progress, key, context)
    accepted = ~is_initial & ((value < allowed.astype(value.dtype)) | is_new)
    improved = in_epoch & (is_new | (value < epoch.best_energy - GAIN * unit))

    def choose(condition, new, old):
        return jnp.where(condition, new, old).astype(old.dtype)

    epoch = Epoch(
        decision=epoch.decision,
        frame=epoch.frame,
        positions=choose(in_epoch & accepted, positions, epoch.positions),
        energy=choose(in_epoch & accepted, value, epoch.energy),
        best_positions=choose(improved, positions, epoch.best_positions),
        best_energy=choose(improved, value, epoch.best_energy),
        stalled=choose(
            in_epoch, jnp.where(improved, 0, epoch.stalled + 1), epoch.stalled
        ),
        rounds=epoch.rounds + (phase == Phase.SURFACE),
        evaluations=epoch.evaluations + jnp.where(in_epoch, evaluations, 0),
    )
    rise = jnp.minimum(jnp.abs(value - walk.energy), MOST_RISE * unit)
    scale = adapt_scale(walk.scale, accepted, rules.walk_adaptation, 0.5)
    measured = is_walk & jnp.isfinite(walk.energy)
    walk = Walk(
        positions=choose(is_walk & accepted, positions, walk.positions),
        energy=choose(is_walk & accepted, value, walk.energy),
        lowest=choose(is_walk, jnp.minimum(walk.lowest, value), walk.lowest),
        scale=choose(is_walk, scale, walk.scale),
        rise=choose(measured, 0.95 * walk.rise + 0.05 * rise, walk.rise),
        evaluations=walk.evaluations + jnp.where(is_walk, evaluations, 0),
    )
    lowest = in_epoch & (value < progress.lowest)
    return Progress(
        key=progress.key,
        phase=phase,
        epoch=epoch,
        walk=walk,
        lowest=choose(lowest, value, progress.lowest),
        lowest_positions=choose(lowest, positions, progress.lowest_positions),
        evidence=progress.evidence,
        hops=progress.hops + ~is_initial,
        epochs=progress.epochs,
        evaluations=progress.evaluations + evaluations,
    )
