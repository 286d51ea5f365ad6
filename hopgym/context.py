"""What optimizers know about the system that they minimise."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import equinox as eqx
from jaxtyping import Array, Float, Int


class Context(eqx.Module):
    """What an optimizer knows about a system in every update.

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

    A [`hopgym.System`][] is one; atoms of ASE are described by another.
    """

    # Arrays are typed as `Any`, since type checkers do not match fields that have a
    # converter, such as those of a `System`, with properties of another type.

    @property
    def name(self) -> str:
        """Name, such as `LJ-13`; hyper-parameters may be tuned for it."""
        ...

    @property
    def atoms(self) -> int:
        """Number of atoms."""
        ...

    @property
    def species(self) -> Any:
        """`Int[Array, "atoms"]`, species of the atoms, counted from 0."""
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
