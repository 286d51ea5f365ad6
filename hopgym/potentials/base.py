"""The interface of potentials: energy and gradient of one replica in one pass."""

from __future__ import annotations

import abc
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from hopgym._checks import POSITIVE, Rule, between, check_number, describe, is_known

# Positions are clipped to this range before distances are formed, so that squared
# distances stay finite in float32 (largest number: 3.4e38).
POSITION_LIMIT = 1e15

# Lengths and energies among the parameters of potentials, in any unit: energies and
# gradients of overlapping atoms stay finite in float32.
LENGTH = between(1e-10, 1e10)
ENERGY = between(1e-25, 1e9)

# Radius within which distances are softened, divided by the length.
SOFT_CORE = between(1e-3, 0.9)

Positions = Float[Array, "atoms 3"]
Species = Int[Array, " atoms"]
Box = Float[Array, "3"]
Energy = Float[Array, ""]
AtomEnergies = Float[Array, " atoms"]


class AbstractPotential(eqx.Module):
    """A potential-energy surface.

    All methods take one replica; use `jax.vmap` for batches. Parameters are array
    leaves, so they can be batched and differentiated as well. `species` is an
    integer array, so compositions can be batched without recompiling.

    A potential must be finite for every finite input. Within a small core radius the
    energy must keep rising as atoms approach, with a finite slope, so that overlapping
    atoms are never favourable.
    """

    @abc.abstractmethod
    def check_box(self, box: Box | None) -> None:
        """Check that the potential is defined for a box.

        Reads the values of `box`, so it must be called outside `jax.jit`:
        [`hopgym.System`][] does so when it is constructed.

        **Raises:** `ValueError` if the potential is not defined for `box`.
        """

    @abc.abstractmethod
    def energy_and_gradient(
        self, positions: Positions, species: Species, box: Box | None
    ) -> tuple[Energy, Positions]:
        """Energy and its gradient with respect to the positions, in one pass.

        **Arguments:**

        - `positions`: `Float[Array, "atoms 3"]`, in the potential's length unit.
        - `species`: `Int[Array, "atoms"]`, index of each atom's species.
        - `box`: `Float[Array, "3"]`, edges of the periodic box, or `None` in free
          space.

        **Returns:** the energy, and the gradient (not the force) of the same shape
        as `positions`.

        **Raises:** `ValueError` for arrays of a wrong shape or type, no atoms, and,
        outside of traced functions, species that the potential does not have, or a box
        for which it is not defined.
        """

    @abc.abstractmethod
    def atom_energies(
        self, positions: Positions, species: Species, box: Box | None
    ) -> AtomEnergies:
        """Energy of each atom; the sum is the total energy.

        Arguments as in [`hopgym.potentials.AbstractPotential.energy_and_gradient`][].
        """


@runtime_checkable
class HasCore(Protocol):
    """A potential that states the radius of its core.

    Implemented by all potentials of hopgym but the soft spheres. Atoms within the core
    of each other are no minimum, whatever the forces on them.
    """

    # Arrays are typed as `Any`: see `hopgym.context.SystemInfo`.

    @property
    def core_radius(self) -> Any:
        """`Float[Array, ""]`, in the potential's length unit."""
        ...


@runtime_checkable
class HasCutoff(Protocol):
    """A potential that states a cutoff, such as that of Stillinger and Weber."""

    @property
    def cutoff(self) -> Any:
        """`Float[Array, ""]`, distance beyond which atoms do not interact."""
        ...


class AbstractAlloyPotential(AbstractPotential):
    """A potential with different parameters for each species."""

    @property
    @abc.abstractmethod
    def kinds(self) -> int:
        """Number of species."""


def check_structure(
    potential: AbstractPotential, positions: Any, species: Any, box: Any
) -> tuple[Positions, Species, Box | None]:
    """Check the arguments of a potential and convert them to arrays.

    **Raises:** `ValueError`, see `AbstractPotential.energy_and_gradient`.
    """
    name = type(potential).__name__
    positions = _to_array(f"{name}: positions", positions)
    if positions.ndim != 2 or positions.shape[1] != 3 or not len(positions):
        raise ValueError(
            f"{name}: positions must have shape (atoms, 3) with at least one atom, got "
            f"{positions.shape}"
        )
    if positions.dtype not in (jnp.float32, jnp.float64):
        raise ValueError(
            f"{name}: positions must be float32 or float64, got {positions.dtype}: "
            "convert them by jax.numpy.asarray(positions, float)"
        )
    species = _to_array(f"{name}: species", species)
    if species.shape != positions.shape[:1]:
        raise ValueError(
            f"{name}: species must have shape {positions.shape[:1]}, one for each atom "
            f"of the positions, got {species.shape}"
        )
    check_species(name, potential, species)
    if box is not None:
        box = _to_array(f"{name}: box", box)
        check_edges(name, box)
    if is_known(box):
        with jax.ensure_compile_time_eval():
            potential.check_box(box)
    return positions, species, box


def check_species(name: str, potential: AbstractPotential, species: Array) -> None:
    """Check that a potential has parameters for species.

    **Raises:** `ValueError`, which starts with `name`.
    """
    if not jnp.issubdtype(species.dtype, jnp.integer):
        raise ValueError(f"{name}: species must be integers, got {species.dtype}")
    rule = Rule("not negative", lambda x: x >= 0)
    if isinstance(potential, AbstractAlloyPotential):
        last = potential.kinds - 1
        words = f"between 0 and {last}" if last else "0"
        rule = Rule(f"{words}, of the species that have parameters", _up_to(last))
    if is_known(species):
        kinds = np.unique(np.asarray(species))
        check_number(f"{name}: species", kinds, rule)


def check_edges(name: str, box: Array) -> None:
    """Check the edges of a box.

    **Raises:** `ValueError`, which starts with `name`.
    """
    if box.shape != (3,) or not jnp.issubdtype(box.dtype, jnp.floating):
        raise ValueError(
            f"{name}: box must be three edges, real numbers, got shape {box.shape} and "
            f"type {box.dtype}"
        )
    check_number(f"{name}: box must be three positive edges: each", box, POSITIVE)


def limit_positions(positions: Positions, length: Float[Array, ""]) -> Positions:
    """Clip positions to `POSITION_LIMIT`, also in units of a potential's length."""
    limit = POSITION_LIMIT * jnp.minimum(length, 1)
    return jnp.clip(positions, -limit, limit)


def _to_array(what: str, value: Any) -> Array:
    if isinstance(value, jax.Array):
        return value
    try:
        return jnp.asarray(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} must be an array, got {describe(value)}") from error


def _up_to(last: int):
    return lambda x: (x >= 0) & (x <= last)


def check_free_space(potential: AbstractPotential, box: Box | None) -> None:
    """Check that there is no box, for potentials without a cutoff.

    **Raises:** `ValueError` if `box` is not `None`.
    """
    if box is not None:
        raise ValueError(
            f"{type(potential).__name__} has no cutoff and is defined in free space "
            "only: use box=None"
        )
