"""Controls of `bh-learned`: the same search, with other choices of groups.

python benchmarks/run.py --optimizers bh-learned,benchmarks/controls.py:oracle ...

`uniform` and `halving` learn nothing; `oracle` knows the group in whose subspace each
minimum is found soonest.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from hopgym.optimizers import SymmetricBasinHopping, load
from hopgym.optimizers.symmetry.choices.base import AbstractChoice
from hopgym.optimizers.symmetry.choices.halving import SuccessiveHalving
from hopgym.optimizers.symmetry.choices.single import Single
from hopgym.optimizers.symmetry.choices.uniform import Uniform
from hopgym.systems import System

LEARNED = "bh-learned"
# Groups in whose subspaces minima are found soonest.
BEST_GROUPS = {
    "LJ-38": "O",
    **dict.fromkeys(("LJ-75", "LJ-76", "LJ-77"), "C5"),
    "LJ-98": "Td",
    **dict.fromkeys(("LJ-102", "LJ-103", "LJ-104"), "C5"),
}


def uniform(system: System) -> SymmetricBasinHopping:
    """Groups are drawn with the same probability."""
    return _choose(system, Uniform())


def halving(system: System) -> SymmetricBasinHopping:
    """Groups are chosen by successive halving."""
    return _choose(system, SuccessiveHalving())


def oracle(system: System) -> SymmetricBasinHopping:
    """The best group of each system is known: an upper bound, and no search.

    **Raises:** `ValueError` for a system whose best group is not known.
    """
    if system.name not in BEST_GROUPS:
        known = ", ".join(BEST_GROUPS)
        raise ValueError(f"{system.name}: the oracle knows only {known}")
    names = _get_search(system).subspaces.names
    return _choose(system, Single(names.index(BEST_GROUPS[system.name])))


def _choose(system: System, choice: AbstractChoice) -> SymmetricBasinHopping:
    return dataclasses.replace(_get_search(system), choice=choice)


def _get_search(system: System) -> SymmetricBasinHopping:
    learned: Any = load(LEARNED)
    search = learned.for_system(system)
    if not isinstance(search, SymmetricBasinHopping):
        raise ValueError(f"{system.name}: {LEARNED} chooses no groups there")
    return search
