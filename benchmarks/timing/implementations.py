"""Who takes part in the benchmark of speed: energy and gradient by several codes.

A contender is a function of a system that gives `positions -> (energy, gradient)`, a
JAX function of one replica, or raises `Nonsense` for a system that it cannot compute.
"""

from __future__ import annotations

from collections.abc import Callable

STRIDE = 1e-3  # largest component of a step of a trajectory, in units of length
TINY = 1e-7  # keeps positions where they are while evaluations depend on each other


class Nonsense(Exception):
    """The command cannot be carried out; the message says why."""


def by(backend: str, function: Callable) -> Callable:
    """A function of this package, traced for a backend."""
    from hopgym.native import using

    def compute(*operands):
        with using(backend):
            return function(*operands)

    return compute


def has_kernel(system, compute: Callable) -> bool:
    """Whether a kernel is used for what is computed of positions.

    **Raises:** `Nonsense` where there are no kernels at all.
    """
    import jax
    import jax.numpy as jnp

    try:
        program = jax.make_jaxpr(compute)(jnp.zeros((system.atoms, 3)))
    except RuntimeError as error:
        raise Nonsense(f"{error}; leave native out with --contenders") from None
    return "ffi_call" in str(program)


def native(system) -> Callable:
    """The potential of this package by its kernel in C++."""
    evaluate = by("native", system.energy_and_gradient)
    if not has_kernel(system, evaluate):
        raise Nonsense(f"there is no kernel for {system.name}")
    return evaluate


def xla(system) -> Callable:
    """The potential of this package by its formulas in JAX."""
    return by("xla", system.energy_and_gradient)


def jax_md(system) -> Callable:
    """jax-md's energy of the same potential, and its gradient by JAX."""
    import jax
    from jax_md import energy, smap, space

    family = system.name.split("-")[0]
    if family == "SW" and system.name != "SW-Si8":
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
        cutoff = 1e3  # angstrom, beyond any cluster
        return jax.value_and_grad(energy.gupta_gold55(displacement, cutoff=cutoff))
    raise Nonsense(f"jax-md has no counterpart of {system.name}")


CONTENDERS: dict[str, Callable] = {"native": native, "xla": xla, "jax-md": jax_md}


def evaluations(evaluate: Callable, length: float) -> dict[str, Callable]:
    """Programs of evaluations, one after the other."""
    import jax
    import jax.numpy as jnp

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

    return {"first": first, "run": run, "walk": walk}
