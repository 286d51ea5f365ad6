"""Measurements of a device, such as a GPU: speed against the batch, and agreement."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from hopgym import Environment, Rollout, System
from hopgym.environment import take_step
from hopgym.optimizers import make_optimizer

HORIZON = 50_000  # steps that optimizers plan for
LARGEST_BLOCK = 2**16  # steps per timed call, at most


def measure_rollout(
    system: System, optimizer: str, batch: int, seconds: float
) -> dict[str, Any]:
    """Evaluations per second of a rollout, and its memory.

    **Arguments:**

    - `optimizer`: its name in the zoo.
    - `batch`: number of starts.
    - `seconds`: time to spend, without compilation.
    """
    policy = make_optimizer(optimizer, system=system, steps=HORIZON)
    timer = time.perf_counter()
    run = Rollout(Environment(system), policy, jax.random.key(4), batch)
    run.compile()
    compile_seconds = time.perf_counter() - timer
    per_step = _time_steps(run.advance, seconds)
    return {
        "evaluations_per_second": batch / per_step,
        "seconds_per_step": per_step,
        "compile_seconds": compile_seconds,
        "peak_bytes": _get_peak_bytes(),
    }


def measure_parts(
    system: System, optimizer: str, batch: int, seconds: float
) -> dict[str, Any]:
    """Where the time of a step goes: energy, step of the environment, whole step.

    Arguments are those of `measure_rollout`. **Returns:** seconds of each.
    """
    environment = Environment(system)
    policy = make_optimizer(optimizer, system=system, steps=HORIZON)
    key = jax.random.key(4)
    state, policy_state = _start(environment, policy, key, batch)
    arrays, static = eqx.partition((environment, policy), eqx.is_array)

    def evaluate(model, state):
        environment, _ = eqx.combine(model, static)
        _, gradient = environment.system.energy_and_gradient(state.positions)
        # The next evaluation depends on this one.
        return eqx.tree_at(lambda s: s.positions, state, state.positions + 0 * gradient)

    def move(model, state):
        environment, _ = eqx.combine(model, static)
        return environment.step(state, -1e-9 * state.gradient)

    parts = {}
    for name, function, carry in (
        ("energy", evaluate, state),
        ("environment", move, state),
        ("step", _make_step(static), (state, policy_state)),
    ):
        parts[f"seconds_per_{name}"] = _time_function(function, arrays, carry, seconds)
    return parts


def compare_with_cpu(
    system: System, optimizer: str, batch: int, steps: int
) -> dict[str, Any]:
    """Follow the same starts on the device and on the CPU.

    **Returns:** the largest difference of positions over atoms, in units of length, of
    the median start and of the worst one: rounding grows along a trajectory.
    """
    environment = Environment(system)
    policy = make_optimizer(optimizer, system=system, steps=HORIZON)
    found = []
    for device in (jax.devices()[0], jax.devices("cpu")[0]):
        with jax.default_device(device):
            carry = _start(environment, policy, jax.random.key(4), batch)
            arrays, static = eqx.partition((environment, policy), eqx.is_array)
            moved = jax.device_put((arrays, carry), device)
            state, _ = _compile(_make_step(static))(*moved, jnp.int32(steps))
            found.append(np.asarray(state.positions))
    apart = np.abs(found[0] - found[1]).max(axis=(1, 2)) / float(system.length)
    return {"median": float(np.median(apart)), "largest": float(apart.max())}


def _start(environment: Environment, policy: Any, key: Any, batch: int) -> Any:
    """States of environment and policy at random starts."""

    def start(key):
        state = environment.reset(key)
        return state, policy.init(state.positions, key=key, context=environment.context)

    return jax.jit(jax.vmap(start))(jax.random.split(key, batch))


def _make_step(static: Any) -> Callable[[Any, Any], Any]:
    """A step of environment and policy, of which `static` are no arrays."""
    return lambda model, carry: take_step(*eqx.combine(model, static), *carry)


def _compile(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """A program that applies a function of model and carry to a batch, many times."""

    @jax.jit
    def program(model, carry, steps):
        return jax.lax.fori_loop(
            0, steps, lambda _, c: jax.vmap(lambda one: function(model, one))(c), carry
        )

    return program


def _time_function(
    function: Callable[[Any, Any], Any], arrays: Any, carry: Any, seconds: float
) -> float:
    program = _compile(function)

    def advance(steps: int) -> None:
        jax.block_until_ready(program(arrays, carry, jnp.int32(steps)))

    return _time_steps(advance, seconds)


def _time_steps(advance: Callable[[int], None], seconds: float) -> float:
    """Seconds per step, from blocks of steps that become longer."""
    advance(1)  # compilation, or the first call of a compiled program
    steps, spent = 1, 0.0
    while True:
        timer = time.perf_counter()
        advance(steps)
        spent = time.perf_counter() - timer
        if spent >= seconds / 3 or steps >= LARGEST_BLOCK:
            return spent / steps
        steps = min(LARGEST_BLOCK, steps * 3)


def _get_peak_bytes() -> int | None:
    """Largest memory in use on the device so far; unknown on CPUs."""
    stats = jax.devices()[0].memory_stats()
    return None if stats is None else stats.get("peak_bytes_in_use")
