"""The interface of families of systems."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from jaxtyping import Array, Float

from hopgym.systems.system import System

Edges = Float[Array | np.ndarray, "3"]


class AbstractFamily(abc.ABC):
    """Systems with one kind of potential, built by name, by formula or from atoms.

    [`hopgym.get_system`][], the command lines and [`hopgym.chemistry.from_ase`][] query
    the families listed in `hopgym.systems.registry.FAMILIES`. The first paragraph of a
    subclass's docstring describes the family in `benchmarks/run.py --list`.

    **Attributes:**

    - `names`: names of the systems registered with Gymnasium; `build` may accept more.
    - `potentials`: names of its potentials on command lines and in `from_ase`;
      `has_potential` may accept more.
    - `elements`: symbols of the pure elements for which its first potential is the
      default; `"X"` stands for reduced units.
    - `is_periodic`: whether its systems have a periodic box.
    """

    names: ClassVar[Sequence[str]]
    potentials: ClassVar[Sequence[str]]
    elements: ClassVar[Sequence[str]]
    is_periodic: ClassVar[bool]

    @abc.abstractmethod
    def has_potential(self, potential: str) -> bool:
        """Whether `potential` is the name of a potential of this family."""

    @abc.abstractmethod
    def build(self, name: str) -> System | None:
        """Build a system from its name, or return `None` for a name of another family.

        **Raises:** `ValueError` for a name of this family that has no system.
        """

    @abc.abstractmethod
    def get_name(self, potential: str, counts: Mapping[str, int]) -> str:
        """Name of the system with a given chemical formula.

        **Arguments:**

        - `potential`: one that `has_potential` accepts.
        - `counts`: number of atoms of each element, in any order.

        **Raises:** `ValueError` for elements that the potential does not describe.
        """

    @abc.abstractmethod
    def build_from_symbols(
        self, potential: str, symbols: Sequence[str], box: Edges | None
    ) -> System:
        """Build a system from given atoms, in their order.

        **Arguments:**

        - `potential`: one that `has_potential` accepts.
        - `symbols`: chemical symbol of each atom.
        - `box`: edges of the periodic box if `is_periodic`, else `None`.

        **Raises:** `ValueError` for elements that the potential does not describe, or
        a box that is too small for it.
        """
