"""What optimizers know about the system whose energy they minimise."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import equinox as eqx
from jaxtyping import Array, Float, Int


class Context(eqx.Module):
    """What an optimizer knows about a system when it is called.

    **Attributes:**

    - `species`: `Int[Array, "atoms"]`.
    - `box`: `Float[Array, "3"]`, edges of the periodic box, or `None`.
    - `length`: unit of length, about a nearest-neighbour distance.
    - `energy_unit`: unit of energy.
    """

    species: Int[Array, " atoms"]
    box: Float[Array, "3"] | None
    length: Float[Array, ""]
    energy_unit: Float[Array, ""]


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
        """`Float[Array, "3"]`, edges of the periodic box, or `None`."""
        ...

    @property
    def length(self) -> Any:
        """`Float[Array, ""]`, unit of length, about a nearest-neighbour distance."""
        ...

    @property
    def energy_unit(self) -> Any:
        """`Float[Array, ""]`, unit of energy."""
        ...
