"""Controls of the learned search: its constants, with other choices of groups.

python benchmarks/run.py --systems LJ-38 --optimizers bh-learned \\
    --optimizer benchmarks/controls.py:uniform

Each takes `bh-learned` and replaces how it chooses the group of the next epoch. The
oracle knows more than a search may know: the group that is best for the size.
"""

from __future__ import annotations

import dataclasses

from hopgym.context import SystemInfo
from hopgym.optimizers import load
from hopgym.optimizers.base import adapt
from hopgym.optimizers.symmetric_basin_hopping import SymmetricBasinHopping
from hopgym.optimizers.symmetry.choices.halving import SuccessiveHalving
from hopgym.optimizers.symmetry.choices.merit import ByMerit
from hopgym.optimizers.symmetry.choices.single import Single
from hopgym.optimizers.symmetry.choices.uniform import Uniform

LEARNED = "bh-learned"
# The group with most hits per evaluation of those that `hopgym.meta.record` runs.
BEST_GROUPS = {
    "LJ-38": "C4h",
    **dict.fromkeys(("LJ-75", "LJ-76", "LJ-77"), "C5h"),
    "LJ-98": "Td",
    **dict.fromkeys(("LJ-102", "LJ-103", "LJ-104"), "C5h"),
}


def by_merit(system: SystemInfo) -> SymmetricBasinHopping:
    """The learned search that knows no rates, with the rule of `bh-symmetric`."""
    return dataclasses.replace(_load(system), choice=ByMerit())


def uniform(system: SystemInfo) -> SymmetricBasinHopping:
    """The learned search with groups drawn at random."""
    return dataclasses.replace(_load(system), choice=Uniform())


def halving(system: SystemInfo) -> SymmetricBasinHopping:
    """The learned search with groups chosen by successive halving."""
    return dataclasses.replace(_load(system), choice=SuccessiveHalving())


def oracle(system: SystemInfo) -> SymmetricBasinHopping:
    """The learned search in the best group of the system only: an upper bound.

    **Raises:** `ValueError` if it is not known.
    """
    if system.name not in BEST_GROUPS:
        known = ", ".join(BEST_GROUPS)
        raise ValueError(f"{system.name}: the best group is known for {known}")
    search = _load(system)
    group = search.subspaces.names.index(BEST_GROUPS[system.name])
    return dataclasses.replace(search, choice=Single(group))


def _load(system: SystemInfo) -> SymmetricBasinHopping:
    search = adapt(load(LEARNED), system)
    if not isinstance(search, SymmetricBasinHopping):
        raise ValueError(f"{system.name}: {LEARNED} chooses no groups there")
    return search
