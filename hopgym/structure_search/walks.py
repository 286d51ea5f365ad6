"""The walks of a search: one run of an optimizer from each start."""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from jaxtyping import Float, PyTree

from hopgym.minima.pool import TIGHT, Tolerances
from hopgym.relax import Quenched

Stop = Callable[[], bool]


def never() -> bool:
    """Do not stop."""
    return False


@dataclass(frozen=True)
class Harvest:
    """Quenched structures that walks have met.

    **Attributes:**

    - `structures`: as arrays of NumPy.
    - `starts`: index of the start that met each of them.
    - `evaluations`: evaluations of the quenches, which are not those of the walks.
    """

    structures: Quenched
    starts: list[int]
    evaluations: int


@dataclass(frozen=True)
class Refined:
    """Structures that were quenched in double precision.

    **Attributes:**

    - `structures`: as arrays of NumPy.
    - `gradients`: at these.
    - `evaluations`: evaluations of the quenches.
    """

    structures: Quenched
    gradients: Float[np.ndarray, "structures atoms 3"]
    evaluations: int


class AbstractWalks(abc.ABC):
    """Walks that can be advanced, saved and restored.

    **Attributes:**

    - `tolerances`: when two structures that `collect` returns are equal.
    - `dtype`: of their positions.
    - `is_costly`: whether evaluations take so long that none are made for the report of
      a search that was stopped early.
    """

    tolerances: Tolerances = TIGHT
    dtype: Any = np.float32
    is_costly: bool = False

    @property
    @abc.abstractmethod
    def system(self) -> Any:
        """What the atoms are: a [`hopgym.context.SystemInfo`][] with `symbols`."""

    @property
    @abc.abstractmethod
    def done(self) -> int:
        """Number of steps that all walks have done."""

    @property
    @abc.abstractmethod
    def evaluations(self) -> int:
        """Evaluations of all walks."""

    @property
    @abc.abstractmethod
    def faults(self) -> int:
        """Non-finite components of updates, of all walks."""

    @property
    @abc.abstractmethod
    def failures(self) -> int:
        """Evaluations that failed, of all walks."""

    @abc.abstractmethod
    def compile(self) -> None:
        """Compile what can be compiled, unless this has been done."""

    @abc.abstractmethod
    def begin_chunk(self) -> None:
        """Forget what was met so far: `collect` is about the steps from here on."""

    @abc.abstractmethod
    def advance(self, end: int, stop: Stop = never) -> None:
        """Advance all walks to step `end`, or until `stop` returns true."""

    @abc.abstractmethod
    def collect(self) -> Harvest:
        """Quenched structures of the chunk."""

    @abc.abstractmethod
    def refine(self, positions: Float[np.ndarray, "structures atoms 3"]) -> Refined:
        """Quench structures in double precision, to tight tolerances."""

    @abc.abstractmethod
    def to_ase(
        self,
        positions: Float[np.ndarray, "atoms 3"],
        energy: float,
        gradient: Float[np.ndarray, "atoms 3"] | None,
    ) -> Atoms:
        """A structure as `ase.Atoms`, with energy and, if known, forces."""

    @abc.abstractmethod
    def arrays(self) -> PyTree:
        """State as arrays, for a checkpoint."""

    @abc.abstractmethod
    def sizes(self) -> dict[str, int]:
        """What determines the shapes of `arrays`, for the header of a checkpoint."""

    @abc.abstractmethod
    def blank(self, sizes: dict[str, int]) -> PyTree:
        """Arrays with the shapes and dtypes of `arrays`, to restore a checkpoint.

        **Raises:** `ValueError` for sizes that are none.
        """

    @abc.abstractmethod
    def restore(self, done: int, arrays: PyTree) -> None:
        """Restore what `arrays` returned after `done` steps.

        **Raises:** `ValueError` if it does not fit.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Release what the walks hold, such as processes."""
