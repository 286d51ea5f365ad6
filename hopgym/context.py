"""What optimizers know about the system that they minimise."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

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

    @property
    def name(self) -> str:
        """Name, such as `LJ-13`; hyper-parameters may be tuned for it."""
        ...

    @property
    def atoms(self) -> int:
        """Number of atoms."""
        ...

    @property
    def species(self) -> Int[Array, " atoms"]:
        """Species of each atom, counted from 0."""
        ...

    @property
    def box(self) -> Float[Array, "3"] | None:
        """Edges of the periodic box, or `None` in free space."""
        ...

    @property
    def length(self) -> Float[Array, ""]:
        """Unit of length, about a nearest-neighbour distance."""
        ...

    @property
    def energy_unit(self) -> Float[Array, ""]:
        """Unit of energy."""
        ...
