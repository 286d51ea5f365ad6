"""Runs of an optimizer, and their losses."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from hopgym._checks import is_known
from hopgym.environment import Environment, State, take_step
from hopgym.optimizers.base import adapt
from hopgym.relax import polish
from hopgym.systems import System

HIT_KINDS = ("first-hit", "hit-share")  # losses by the evaluations until a hit
LOSS_KINDS = ("final", "best", "average", *HIT_KINDS)
# Losses below this are unphysical: the energy is more than twice the lowest known one.
MIN_LOSS = -2.0
# A run that misses the minimum counts more than any hit, the more the farther it is:
# from the first number to the second one.
MISS_LOSSES = {"first-hit": (0.7, 1.0), "hit-share": (1.1, 1.2)}
MISS_GAP = 5.0  # in units of energy


class Run(eqx.Module):
    """State of a run.

    **Attributes:**

    - `state`: state of the environment.
    - `opt_state`: state of the optimizer.
    - `total`: sum of the losses of all structures since it was last reset.
    """

    state: State
    opt_state: Any
    total: Float[Array, "*batch"]


class Outcome(eqx.Module):
    """Outcome of a run.

    **Attributes:**

    - `best`, `last`: energies of the lowest and the last structure after the polish.
    - `hit`: whether `best` is the reference minimum.
    """

    best: Float[Array, "*batch"]
    last: Float[Array, "*batch"]
    hit: Bool[Array, "*batch"]


def scaled_loss(
    energy: Float[Array, "*batch"], system: System, *, bounded: bool = True
) -> Float[Array, "*batch"]:
    """min(E, 0) / scale, or 0 if this is not finite or below -2.

    The scale is `system.energy_scale`, the absolute value of the lowest known energy,
    so that the best possible loss is -1. (Learn2Hop, section 3.3, divides by the best
    energy of 150 runs of Adam.)

    **Arguments:**

    - `energy`: energy of a structure.
    - `system`: the system of the structure.
    - `bounded`: whether energies above zero count as zero.
    """
    loss = energy / system.energy_scale
    if bounded:
        loss = jnp.minimum(loss, 0)
    return jnp.where(jnp.isfinite(loss) & (loss >= MIN_LOSS), loss, 0)


def init_run(
    environment: Environment,
    optimizer: Any,
    key: PRNGKeyArray,
    positions: Float[Array, "atoms 3"],
) -> Run:
    """Initial state of a run."""
    state = environment.reset(key, positions)
    opt_state = optimizer.init(positions, key=key, context=environment.context)
    return Run(state, opt_state, jnp.zeros_like(state.energy))


def advance_run(
    environment: Environment, optimizer: Any, run: Run, *, bounded: bool = True
) -> Run:
    """Advance a run by one update."""
    state, opt_state = take_step(environment, optimizer, run.state, run.opt_state)
    loss = scaled_loss(state.energy, environment.system, bounded=bounded)
    return Run(state, opt_state, run.total + loss)


def compute_losses(
    environment: Environment,
    runs: Run,
    steps: int | Int[Array, ""],
    kind: str,
    *,
    bounded: bool = True,
    polish_steps: int = 1000,
) -> Float[Array, " batch"]:
    """Losses of a batch of runs, whose `total` is over the last `steps` updates."""
    system = environment.system
    if kind == "average":
        return runs.total / steps
    state = runs.state
    if kind in HIT_KINDS:
        return hit_loss(state.first_hit, state.best_energy, steps, system, kind)
    positions = state.positions if kind == "final" else state.best_positions
    polished = polish(system, positions, steps=polish_steps)
    return scaled_loss(polished.energy, system, bounded=bounded)


def hit_loss(
    first_hit: Int[Array, "*batch"],
    lowest: Float[Array, "*batch"],
    steps: int | Int[Array, ""],
    system: System,
    kind: str,
) -> Float[Array, "*batch"]:
    """Evaluations until the first hit as a fraction of all, or the logarithm of that.

    It is larger without a hit, and the largest if the lowest energy is below the
    reference by more than its absolute value.

    **Arguments:**

    - `first_hit`: number of evaluations, not positive without a hit.
    - `lowest`: energy of the lowest structure.
    - `steps`: number of updates, each with an evaluation.
    - `system`: has the reference.
    - `kind`: `"first-hit"` or `"hit-share"`, see [`hopgym.meta.meta_loss`][].
    """
    least, most = MISS_LOSSES[kind]
    gap = (lowest - system.reference) / system.energy_unit
    missed = least - (most - least) * jnp.expm1(-jnp.maximum(gap, 0) / MISS_GAP)
    is_physical = jnp.isfinite(missed) & (lowest / system.energy_scale >= MIN_LOSS)
    missed = jnp.where(is_physical, missed, most)
    share = jnp.maximum(first_hit, 1) / (steps + 1)
    met = jnp.log(share) if kind == "first-hit" else share
    return jnp.where((first_hit > 0) & is_physical, met, missed)


def find_hits(losses: np.ndarray, kind: str) -> np.ndarray:
    """Which losses are those of hits."""
    return losses < MISS_LOSSES[kind][0]


def evaluate_runs(
    environment: Environment, runs: Run, *, polish_steps: int = 1000
) -> Outcome:
    """Outcomes of a batch of runs."""
    system = environment.system
    best, last = (
        polish(system, positions, steps=polish_steps).energy
        for positions in (runs.state.best_positions, runs.state.positions)
    )
    return Outcome(best, last, system.is_hit(best))


def check_loss(kind: str, *systems: System) -> None:
    """Raise `ValueError` for an unknown loss, or one that a system does not have."""
    if kind not in LOSS_KINDS:
        raise ValueError(f"loss must be one of {LOSS_KINDS}, got {kind!r}")
    for system in systems:
        known = is_known(system.reference)
        if kind in HIT_KINDS and known and not system.has_reference:
            raise ValueError(
                f"{system.name} has no reference energy, so there are no first hits"
            )


def check_withheld(share: float) -> None:
    """Raise `ValueError` for what is no fraction of runs."""
    if not 0 <= share <= 1:
        raise ValueError(f"withheld must be from 0 to 1, got {share}")


def meta_loss(
    optimizer: Any,
    system: System,
    key: PRNGKeyArray,
    unroll: int,
    kind: str = "final",
    *,
    bounded: bool = True,
    polish_steps: int = 1000,
) -> Float[Array, ""]:
    """Loss of one run of an optimizer from a random start.

    **Arguments:**

    - `optimizer`: the optimizer.
    - `system`: the system to minimise.
    - `key`: random key of the start and the optimizer.
    - `unroll`: number of updates.
    - `kind`: `"final"`: loss of the last structure after the polish, as in the paper.
      `"best"`: loss of the lowest structure after the polish. `"average"`: mean loss
      over all updates. `"first-hit"`: logarithm of the evaluations until the reference
      minimum was met, as a fraction of all; between 0.7 and 1 if it was not, depending
      on how far above it the lowest structure is. `"hit-share"`: that fraction itself,
      or between 1.1 and 1.2.
    - `bounded`: see [`hopgym.meta.scaled_loss`][].
    - `polish_steps`: number of steps of the polish, see [`hopgym.polish`][].

    **Raises:** `ValueError` for an unknown kind, an unroll below 1, or first hits of a
    system without a reference energy.
    """
    check_loss(kind, system)
    if unroll < 1:
        raise ValueError(f"an unroll needs at least one update, got {unroll}")
    environment, optimizer = Environment(system), adapt(optimizer, system)
    start_key, policy_key = jax.random.split(key)
    run = init_run(environment, optimizer, policy_key, system.sample(start_key))
    run = jax.lax.fori_loop(
        0,
        unroll,
        lambda _, run: advance_run(environment, optimizer, run, bounded=bounded),
        run,
    )
    runs = jax.tree.map(lambda x: x[None], run)
    losses = compute_losses(
        environment, runs, unroll, kind, bounded=bounded, polish_steps=polish_steps
    )
    return losses[0]
