"""One run of an optimizer, and what it is judged by."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from hopgym.environment import Environment, State, take_step
from hopgym.relax import polish
from hopgym.systems import System

KINDS = ("final", "best", "average")
# Losses below this, energies below twice the lowest known one, are no structures.
UNPHYSICAL = -2.0


class Run(eqx.Module):
    """An unroll under way.

    **Attributes:** `state` of the environment, `opt_state` of the optimizer, and
    `total`, the sum of the losses of all structures since `total` was last zero.
    """

    state: State
    opt_state: Any
    total: Float[Array, "*batch"]


class Outcome(eqx.Module):
    """What an unroll came to.

    **Attributes:**

    - `best`, `last`: energies of the lowest and of the last structure, polished.
    - `hit`: whether `best` is the lowest minimum known.
    """

    best: Float[Array, "*batch"]
    last: Float[Array, "*batch"]
    hit: Bool[Array, "*batch"]


def scaled_loss(
    energy: Float[Array, "*batch"], system: System, *, bounded: bool = True
) -> Float[Array, "*batch"]:
    """min(E, 0) / scale; 0 for what is not finite or below -2.

    The scale is the system's |lowest energy known| (Learn2Hop, section 3.3, takes the
    best of 150 runs of Adam), so that -1 is as good as can be.

    **Arguments:**

    - `energy`: of a structure.
    - `bounded`: whether energies above zero count as zero.
    """
    loss = energy / system.energy_scale
    if bounded:
        loss = jnp.minimum(loss, 0)
    return jnp.where(jnp.isfinite(loss) & (loss >= UNPHYSICAL), loss, 0)


def begin_run(
    environment: Environment,
    optimizer: Any,
    key: PRNGKeyArray,
    positions: Float[Array, "atoms 3"],
) -> Run:
    """A run at its start."""
    state = environment.reset(key, positions)
    opt_state = optimizer.init(positions, key=key, context=environment.context)
    return Run(state, opt_state, jnp.zeros_like(state.energy))


def advance_run(
    environment: Environment, optimizer: Any, run: Run, *, bounded: bool = True
) -> Run:
    """A run after one more update."""
    state, opt_state = take_step(environment, optimizer, run.state, run.opt_state)
    loss = scaled_loss(state.energy, environment.system, bounded=bounded)
    return Run(state, opt_state, run.total + loss)


def run_loss(
    environment: Environment,
    runs: Run,
    steps: int | Int[Array, ""],
    kind: str,
    *,
    bounded: bool = True,
    polish_steps: int = 1000,
) -> Float[Array, " batch"]:
    """Losses of a batch of runs, whose `total` is of the last `steps` updates."""
    system = environment.system
    if kind == "average":
        return runs.total / steps
    state = runs.state
    positions = state.positions if kind == "final" else state.best_positions
    polished = polish(system, positions, steps=polish_steps)
    return scaled_loss(polished.energy, system, bounded=bounded)


def judge_run(
    environment: Environment, runs: Run, *, polish_steps: int = 1000
) -> Outcome:
    """Outcome of a batch of runs."""
    system = environment.system
    best, last = (
        polish(system, positions, steps=polish_steps).energy
        for positions in (runs.state.best_positions, runs.state.positions)
    )
    return Outcome(best, last, system.is_hit(best))


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

    - `optimizer`: the policy.
    - `system`: what to minimise.
    - `key`: of the start and of the policy's randomness.
    - `unroll`: updates.
    - `kind`: `"final"`, the last structure after the polish (the paper); `"best"`, the
      lowest structure after the polish; `"average"`, the mean over all updates.
    - `bounded`: see [`hopgym.meta.scaled_loss`][].
    - `polish_steps`: see [`hopgym.polish`][].

    **Raises:** `ValueError` for another kind, or an unroll below 1.
    """
    if kind not in KINDS:
        raise ValueError(f"a meta-loss is one of {KINDS}, got {kind!r}")
    if unroll < 1:
        raise ValueError(f"an unroll needs at least one update, got {unroll}")
    environment = Environment(system)
    start_key, policy_key = jax.random.split(key)
    run = begin_run(environment, optimizer, policy_key, system.sample(start_key))
    run = jax.lax.fori_loop(
        0,
        unroll,
        lambda _, run: advance_run(environment, optimizer, run, bounded=bounded),
        run,
    )
    runs = jax.tree.map(lambda x: x[None], run)
    losses = run_loss(
        environment, runs, unroll, kind, bounded=bounded, polish_steps=polish_steps
    )
    return losses[0]
