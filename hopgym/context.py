"""What optimizers know about the system whose energy they minimise."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from hopgym.cell import Cell


class Context(eqx.Module):
    """What an optimizer knows about a system when it is called.

    **Attributes:**

    - `species`: `Int[Array, "atoms"]`.
    - `box`: `Float[Array, "3"]`, edges of the rectangular periodic box; a
      [`hopgym.cell.Cell`][] if the cell is not rectangular or not periodic along all
      axes; or `None` in free space.
    - `length`: unit of length, about a nearest-neighbour distance.
    - `energy_unit`: unit of energy.
    - `freedom`: `Int[Array, "atoms"]`, number of directions in which constraints let
      each atom move, 0 to 3; or `None` if there are no constraints.
    """

    species: Int[Array, " atoms"]
    box: Float[Array, "3"] | Cell | None
    length: Float[Array, ""]
    energy_unit: Float[Array, ""]
    freedom: Int[Array, " atoms"] | None = None

    @property
    def movable(self) -> Bool[Array, " atoms"]:
        """Whether each atom may move at all."""
        return self._have_freedom(1)

    @property
    def unconstrained(self) -> Bool[Array, " atoms"]:
        """Whether each atom may move in all directions."""
        return self._have_freedom(3)

    def _have_freedom(self, directions: int) -> Bool[Array, " atoms"]:
        if self.freedom is None:
            return jnp.ones(self.species.shape, bool)
        return self.freedom >= directions


@runtime_checkable
class SystemInfo(Protocol):
    """What a factory of optimizers knows about a system.

    Implemented by [`hopgym.System`][], and for the atoms of ASE in `hopgym.chemistry`.
    """

    # Arrays are typed as `Any`: type checkers take a field with a converter, such as
    # those of `System`, for the type that the converter accepts.

    @property
    def name(self) -> str:
        """Name, such as `LJ-13`, by which tuned hyper-parameters are looked up."""
        ...

    @property
    def atoms(self) -> int:
        """Number of atoms."""
        ...

    @property
    def species(self) -> Any:
        """`Int[Array, "atoms"]`, species of each atom, counted from 0."""
        ...

    @property
    def box(self) -> Any:
        """Periodic box, as in [`hopgym.Context`][], or `None`."""
        ...

    @property
    def freedom(self) -> Any:
        """Directions in which atoms may move, as in [`hopgym.Context`][]."""
        ...

    @property
    def length(self) -> Any:
        """`Float[Array, ""]`, unit of length, about a nearest-neighbour distance."""
        ...

    @property
    def energy_unit(self) -> Any:
        """`Float[Array, ""]`, unit of energy."""
        ...
