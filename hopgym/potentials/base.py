"""The interface of potentials: energy and gradient of one replica in one pass."""

from __future__ import annotations

import abc
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
from jaxtyping import Array, Float, Int

# Positions are clipped to this range before distances are formed, so that squared
# distances stay finite in float32 (largest number: 3.4e38).
POSITION_LIMIT = 1e15

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


def check_free_space(potential: AbstractPotential, box: Box | None) -> None:
    """Check that there is no box, for potentials without a cutoff.

    **Raises:** `ValueError` if `box` is not `None`.
    """
    if box is not None:
        raise ValueError(
            f"{type(potential).__name__} has no cutoff and is defined in free space "
            "only: use box=None"
        )
