"""Searches with learned constants.

Learned are the departures from the constants of the zoo: 0 is the search of the zoo.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from hopgym._converters import to_float
from hopgym.context import Context, SystemInfo
from hopgym.optimizers.base import AbstractOptimizer
from hopgym.optimizers.basin_hopping import bh_lbfgs, bh_two_phase
from hopgym.optimizers.symmetric_basin_hopping import (
    SymmetricBasinHopping,
    bh_symmetric,
)
from hopgym.optimizers.symmetry.choices.network import (
    FINDINGS,
    ByNetwork,
    ChoiceNetwork,
)
from hopgym.optimizers.symmetry.choices.traits import TRAITS, describe_groups
from hopgym.optimizers.symmetry.prior import Prior
from hopgym.optimizers.symmetry.rules import FRACTIONS, Rules

Departures = dict[str, Any]  # arrays, and a network
MOVES = ("surface", "exchange")  # constants that are fractions of the moves


class LearnedSearch(AbstractOptimizer[Any]):
    """A search as a function of unconstrained numbers, for any system.

    `for_system` returns the search for a system; rollouts, trainings and ASE optimizers
    call it. Its functions cannot be used before.

    **Arguments:**

    - `make`: returns the search for a system and a dictionary of unconstrained numbers.
    - `departures`: the numbers, and the network if there is one.
    """

    make: Callable[[SystemInfo, Departures], AbstractOptimizer] = eqx.field(static=True)
    departures: Departures

    def for_system(self, system: SystemInfo) -> AbstractOptimizer:
        return self.make(system, self.departures)

    def init(
        self, positions: Float[Array, "atoms 3"], *, key: PRNGKeyArray, context: Context
    ) -> Any:
        raise ValueError(UNBOUND)

    def update(
        self,
        gradient: Float[Array, "atoms 3"],
        state: Any,
        positions: Float[Array, "atoms 3"],
        *,
        value: Float[Array, ""],
        context: Context,
    ) -> tuple[Float[Array, "atoms 3"], Any]:
        raise ValueError(UNBOUND)


UNBOUND = "a learned search depends on the system: use its for_system(system)"


def depart(value: Any, departure: Float[Array, "..."]) -> Float[Array, "..."]:
    """A positive number times the exponential of its departure."""
    return to_float(value) * jnp.exp(departure)


def depart_fraction(value: Any, departure: Float[Array, "..."]) -> Float[Array, "..."]:
    """A fraction whose log-odds are shifted by its departure."""
    value = to_float(value)
    return jax.nn.sigmoid(jnp.log(value) - jnp.log1p(-value) + departure)


def learned_bh_lbfgs(key: PRNGKeyArray | None = None) -> LearnedSearch:
    """`bh-lbfgs` with learned step size, temperature, moves and adaptation.

    **Arguments:**

    - `key`: unused; present in all architectures.
    """
    return LearnedSearch(_make_bh_lbfgs, _stay(_list_constants(bh_lbfgs)))


def _make_bh_lbfgs(system: SystemInfo, departures: Departures) -> AbstractOptimizer:
    return bh_lbfgs(system, **_depart_from(bh_lbfgs, departures))


def learned_bh_two_phase(key: PRNGKeyArray | None = None) -> LearnedSearch:
    """`bh-two-phase` with learned step size, temperature, pressure and moves.

    **Arguments:**

    - `key`: unused; present in all architectures.
    """
    return LearnedSearch(_make_bh_two_phase, _stay(_list_constants(bh_two_phase)))


def _make_bh_two_phase(system: SystemInfo, departures: Departures) -> AbstractOptimizer:
    return bh_two_phase(system, **_depart_from(bh_two_phase, departures))


def learned_bh_symmetric(key: PRNGKeyArray | None = None) -> LearnedSearch:
    """`bh-symmetric` with all of its constants learned, and the prior of its groups.

    **Arguments:**

    - `key`: unused; present in all architectures.
    """
    prior = dataclasses.asdict(Prior())
    departures = {
        **_stay(_list_rules()),
        **_stay({f"prior_{name}": value for name, value in prior.items()}),
        **_stay(_list_constants(bh_symmetric)),
    }
    return LearnedSearch(_make_bh_symmetric, departures)


def learned_bh_network(
    key: PRNGKeyArray | None = None, hidden: int = 8
) -> LearnedSearch:
    """`bh-symmetric` with learned constants and a learned choice of its epochs.

    **Arguments:**

    - `key`: random key of the network's weights.
    - `hidden`: width of its hidden layer.
    """
    network_key = jax.random.key(0) if key is None else key
    inputs = len(TRAITS) + len(FINDINGS)
    departures = {
        **learned_bh_symmetric().departures,
        "network": ChoiceNetwork(network_key, inputs, hidden),
    }
    return LearnedSearch(_make_bh_network, departures)


def _make_bh_network(system: SystemInfo, departures: Departures) -> AbstractOptimizer:
    search = _make_bh_symmetric(system, departures)
    if not isinstance(search, SymmetricBasinHopping):
        return search
    traits = describe_groups(search.subspaces, len(system.species))
    return dataclasses.replace(search, choice=ByNetwork(departures["network"], traits))


def _make_bh_symmetric(system: SystemInfo, departures: Departures) -> AbstractOptimizer:
    values = {}
    for name, value in _list_rules().items():
        shift = depart_fraction if name in FRACTIONS else depart
        values[name] = shift(value, departures[name])
    for name in ("rounds", "free_patience"):
        values[name] = jnp.round(values[name]).astype(jnp.int32)
    prior = {
        name: value + departures[f"prior_{name}"]
        for name, value in dataclasses.asdict(Prior()).items()
    }
    return bh_symmetric(
        system,
        rules=Rules(**values),
        prior=Prior(**prior),
        **_depart_from(bh_symmetric, departures),
    )


def _list_rules() -> dict[str, Any]:
    """Constants of `bh-symmetric` by hand."""
    return {entry.name: entry.default for entry in dataclasses.fields(Rules)}


def _list_constants(factory: Callable[..., Any]) -> dict[str, float]:
    """Constants of a search by hand: the numbers among the defaults of its factory."""
    parameters = inspect.signature(factory).parameters.values()
    return {one.name: one.default for one in parameters if type(one.default) is float}


def _stay(constants: dict[str, Any]) -> Departures:
    """No departure from any constant."""
    return {name: jnp.zeros(np.shape(value)) for name, value in constants.items()}


def _depart_from(factory: Callable[..., Any], departures: Departures) -> dict[str, Any]:
    """The constants of a search with their departures."""
    constants, values = _list_constants(factory), {}
    for name, value in constants.items():
        shift = depart_fraction if name in MOVES else depart
        values[name] = shift(value, departures[name])
    if "surface" in constants:
        # Exchanges are a fraction of the other moves, so that both leave some over.
        share = constants["exchange"] / (1 - constants["surface"])
        share = depart_fraction(share, departures["exchange"])
        values["exchange"] = (1 - values["surface"]) * share
    return values
