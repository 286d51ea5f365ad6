"""Per-atom quantities by several implementations.

Energies of atoms, and the radial symmetry functions of the learned optimizer: by
kernels, in JAX and (symmetry functions only) by jax-md.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from benchmarks.timing.implementations import (
    Programs,
    Unsupported,
    compile_evaluations,
    has_kernel,
    trace_for,
)
from hopgym import Environment, System
from hopgym.optimizers.learned.radial import CUTOFF, ETAS, radial_functions


def make_atom_energies(system: System) -> Callable:
    """Make a function `positions -> energies` of the atoms."""

    def compute(positions):
        return system.potential.atom_energies(positions, system.species, system.box)

    return compute


def make_radial(system: System) -> Callable:
    """Make a function `positions -> symmetry functions`, over all neighbours."""
    context = Environment(system).context

    def compute(positions):
        return radial_functions(positions / context.length, context, unlike=False)

    return compute


def make_radial_jax_md(system: System) -> Callable:
    """The same function as `make_radial`, by jax-md."""
    from jax_md import space
    from jax_md._nn import behler_parrinello

    # In the system's own unit of length: jax-md excludes an atom itself by its distance
    # of exactly zero, which compilers may miss for differences of quotients.
    displacement = space.free()[0]
    if system.box is not None:
        displacement = space.periodic(system.box)[0]
    etas = jnp.asarray(ETAS) / system.length**2
    return behler_parrinello.radial_symmetry_functions(
        displacement, None, etas, CUTOFF * float(system.length)
    )


QUANTITIES = {"atom-energies": make_atom_energies, "radial": make_radial}


def make_programs(quantity: str, name: str, system: System) -> Programs:
    """Make programs that displace atoms by their computed quantities.

    **Arguments:**

    - `quantity`: a name in `QUANTITIES`.
    - `name`: `native`, `xla` or, for `radial`, `jax-md`.
    - `system`: the system.

    **Raises:** `Unsupported` for an implementation that cannot compute the system.
    """
    if name == "jax-md":
        compute = make_radial_jax_md(system)
    else:
        compute = trace_for(name, QUANTITIES[quantity](system))
        if name == "native" and not has_kernel(system, compute):
            raise Unsupported(f"there is no kernel for {quantity} of {system.name}")

    def evaluate(positions):
        found = compute(positions).reshape(system.atoms, -1)
        per_atom = jnp.mean(found, axis=1, keepdims=True)
        moved = jnp.broadcast_to(per_atom, positions.shape)
        return jnp.sum(per_atom), jax.lax.optimization_barrier(moved)

    return compile_evaluations(evaluate, float(system.length))
