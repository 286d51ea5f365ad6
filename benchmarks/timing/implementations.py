"""Energy and gradient by several implementations, as JAX functions.

An implementation is a function that returns a function `positions -> (energy,
gradient)` for one replica of a system, or raises `Unsupported` for a system that it
cannot compute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hopgym import System
from hopgym.native import using

STRIDE = 1e-3  # largest component of a step of a trajectory, in units of length
TINY = 1e-7  # step size of timed loops: evaluations depend on each other, atoms stay


class Unsupported(ValueError):
    """An implementation cannot compute a system; the message says why."""


class Programs(NamedTuple):
    """Programs for a batch of replicas, which are timed and compared.

    **Arguments:**

    - `first`: `positions -> vectors`, compared between implementations.
    - `run`: `positions, steps -> ...`, timed.
    - `walk`: `positions, steps -> positions`, compared between implementations.
    """

    first: Callable[..., Any]
    run: Callable[..., Any]
    walk: Callable[..., Any]


def trace_for(backend: str, function: Callable) -> Callable:
    """Make a function of hopgym use a backend whenever it is traced."""

    def compute(*operands):
        with using(backend):
            return function(*operands)

    return compute


def has_kernel(system: System, compute: Callable) -> bool:
    """Whether a function of positions calls a kernel.

    **Raises:** `Unsupported` if kernels cannot be used.
    """
    try:
        program = jax.make_jaxpr(compute)(jnp.zeros((system.atoms, 3)))
    except RuntimeError as error:
        raise Unsupported(f"{error}; leave native out with --contenders") from None
    return "ffi_call" in str(program)


def make_native(system: System) -> Callable:
    """The C++ kernel of hopgym."""
    evaluate = trace_for("native", system.energy_and_gradient)
    if not has_kernel(system, evaluate):
        raise Unsupported(f"there is no kernel for {system.name}")
    return evaluate


def make_xla(system: System) -> Callable:
    """The JAX implementation of hopgym."""
    return trace_for("xla", system.energy_and_gradient)


def make_jax_md(system: System) -> Callable:
    """The same potential in jax-md, with JAX's gradient."""
    from jax_md import energy, smap, space

    family = system.name.split("-")[0]
    if family == "SW" and system.name != "SW-Si8" and system.box is not None:
        displacement, _ = space.periodic(system.box)
        return jax.value_and_grad(energy.stillinger_weber(displacement))
    displacement, _ = space.free()
    if family == "LJ":
        sigma = 2 ** (-1 / 6)
        metric = space.metric(displacement)
        pairs = smap.pair(energy.lennard_jones, metric, sigma=sigma, epsilon=1.0)
        return jax.value_and_grad(pairs)
    gold = family == "Gupta" and set(system.symbols) == {"Au"}
    if gold and not system.name.endswith("table4"):
        cutoff = 1e3  # angstrom, includes all pairs
        return jax.value_and_grad(energy.gupta_gold55(displacement, cutoff=cutoff))
    raise Unsupported(f"jax-md has no counterpart of {system.name}")


CONTENDERS: dict[str, Callable[[System], Callable]] = {
    "native": make_native,
    "xla": make_xla,
    "jax-md": make_jax_md,
}


def compile_evaluations(evaluate: Callable, length: float) -> Programs:
    """Make compiled programs that evaluate a batch in every step.

    **Arguments:**

    - `evaluate`: `positions -> (energy, gradient)` of one replica.
    - `length`: unit of length.
    """

    @jax.jit
    def first(positions):
        return jax.vmap(evaluate)(positions)[1]

    @jax.jit
    def run(positions, steps):
        def step(_, carry):
            positions, total = carry
            energies, gradients = jax.vmap(evaluate)(positions)
            return positions - TINY * gradients, total + energies

        totals = jnp.zeros(positions.shape[0], positions.dtype)
        return jax.lax.fori_loop(0, steps, step, (positions, totals))

    @jax.jit
    def walk(positions, steps):
        def step(_, positions):
            _, gradients = jax.vmap(evaluate)(positions)
            largest = jnp.max(jnp.abs(gradients), axis=(1, 2), keepdims=True)
            return positions - STRIDE * length * gradients / largest

        return jax.lax.fori_loop(0, steps, step, positions)

    return Programs(first, run, walk)
