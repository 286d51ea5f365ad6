"""What is computed of single atoms, for the benchmark of speed.

Energies of atoms, and the radial symmetry functions of the learned optimizer, by
kernels, by formulas in JAX and, of the latter, by jax-md.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from contenders import Nonsense, by, evaluations, has_kernel

from hopgym import Environment
from hopgym.optimizers.learned.radial import CUTOFF, ETAS, radial_functions


def atom_energies(system) -> Callable:
    """`positions -> energies` of atoms."""

    def compute(positions):
        return system.potential.atom_energies(positions, system.species, system.box)

    return compute


def radial(system) -> Callable:
    """`positions -> functions` of atoms, of all neighbours whatever they are."""
    context = Environment(system).context

    def compute(positions):
        return radial_functions(positions / context.length, context, unlike=False)

    return compute


def radial_by_jax_md(system) -> Callable:
    """The same functions as jax-md has them."""
    from jax_md import space
    from jax_md._nn import behler_parrinello

    # In its own unit of length: an atom is known to be no neighbour of itself by a
    # distance of exactly zero, which compilers need not find between quotients.
    displacement = space.free()[0]
    if system.box is not None:
        displacement = space.periodic(system.box)[0]
    etas = jnp.asarray(ETAS) / system.length**2
    return behler_parrinello.radial_symmetry_functions(
        displacement, None, etas, CUTOFF * float(system.length)
    )


QUANTITIES = {"atom-energies": atom_energies, "radial": radial}


def programs(what: str, name: str, system) -> dict[str, Callable]:
    """`first`, `walk` and `run` of a contender, which move atoms by what is computed.

    **Raises:** `Nonsense` for a contender that cannot compute the system.
    """
    if name == "jax-md":
        compute = radial_by_jax_md(system)
    else:
        compute = by(name, QUANTITIES[what](system))
        if name == "native" and not has_kernel(system, compute):
            raise Nonsense(f"there is no kernel for {what} of {system.name}")

    def evaluate(positions):
        found = compute(positions).reshape(system.atoms, -1)
        of_atoms = jnp.mean(found, axis=1, keepdims=True)
        moved = jnp.broadcast_to(of_atoms, positions.shape)
        return jnp.sum(of_atoms), jax.lax.optimization_barrier(moved)

    return evaluations(evaluate, float(system.length))
