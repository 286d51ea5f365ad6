"""What an optimizer is told about the system that it works on."""

from __future__ import annotations

import equinox as eqx
from jaxtyping import Array, Float, Int


class Context(eqx.Module):
    """What an optimizer may know about the system it works on.

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
