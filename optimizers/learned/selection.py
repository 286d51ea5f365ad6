"""Which numbers of a learned search a training changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax

from hopgym._suggest import describe_unknown_name
from hopgym.optimizers.base import AbstractOptimizer
from hopgym.optimizers.learned.search import (
    CHOICES,
    KNOWING,
    PRIOR,
    QUENCH_END,
    RATES,
    LearnedSearch,
    check_chooses_groups,
    get_maker,
    list_rules,
)
from hopgym.optimizers.symmetry.choices.network import ByNetwork

WALK = "walk_"  # begins the names of the constants of the ordinary basin hopping
MERIT_RULES = ("exploration", "spread")  # on which the choice of groups depends


def select_all(optimizer: AbstractOptimizer) -> Any:
    """Select all weights. Rates that a search knows are no weights, but counted.

    **Returns:** a filter, see `equinox.partition`.
    """
    if isinstance(optimizer, LearnedSearch) and RATES in optimizer.departures:
        names = [name for name in optimizer.departures if name != RATES]
        return select_named(optimizer, names)
    return eqx.is_inexact_array


def select_choice(search: AbstractOptimizer) -> LearnedSearch:
    """Select what the choice of groups depends on, but for the rules of their epochs.

    **Returns:** `True` for these of its numbers, `False` for others.

    **Raises:** `ValueError` for a search that chooses no groups.
    """
    search, choice = check_chooses_groups(search), get_maker(search).choice
    rules = MERIT_RULES if choice in ("merit", "network") else ()
    own = ("choice", *rules)
    prior = () if choice in KNOWING else PRIOR
    names = [n for n in search.departures if n in own or n.startswith(prior)]
    spec = select_named(search, names)
    if CHOICES[choice] is ByNetwork:
        spec = eqx.tree_at(lambda s: s.departures["choice"].factors, spec, False)
    return spec


def select_epochs(search: AbstractOptimizer) -> LearnedSearch:
    """Select what epochs depend on, but for the choice of their groups.

    The constants of the ordinary basin hopping are left out: it is for systems without
    symmetry.

    **Returns:** `True` for these of its numbers, `False` for others.

    **Raises:** `ValueError` for a search that chooses no groups.
    """
    search = check_chooses_groups(search)
    names = {name for name in list_rules() if not name.startswith(WALK)}
    names = (names - set(MERIT_RULES)) | {"pressure", QUENCH_END}
    return select_named(search, [name for name in search.departures if name in names])


def select_named(search: AbstractOptimizer, names: Sequence[str]) -> LearnedSearch:
    """Select some of the numbers of a search by their names.

    **Returns:** `True` for these of its numbers, `False` for others.

    **Raises:** `KeyError` for an unknown name; `ValueError` for another optimizer.
    """
    if not isinstance(search, LearnedSearch):
        raise ValueError("only searches have constants with names")
    known = [name for name in search.departures if name != RATES]
    for name in names:
        if name not in known:
            raise KeyError(describe_unknown_name("constant", name, known))
    return LearnedSearch(
        search.make,
        {
            name: jax.tree.map(lambda _, flag=name in names: flag, value)
            for name, value in search.departures.items()
        },
    )
