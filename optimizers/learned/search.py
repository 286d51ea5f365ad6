"""Searches with learned constants.

Learned are the departures from the constants of the zoo: 0 is the search of the zoo.
"""

from __future__ import annotations

import dataclasses
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
    names = ("step_size", "temperature", "surface", "exchange", "adaptation_rate")
    return LearnedSearch(_make_bh_lbfgs, {name: to_float(0) for name in names})


def _make_bh_lbfgs(system: SystemInfo, departures: Departures) -> AbstractOptimizer:
    surface, exchange = _share_moves(departures)
    return bh_lbfgs(
        system,
        depart(0.36, departures["step_size"]),
        depart(0.8, departures["temperature"]),
        surface,
        exchange,
        depart(0.02, departures["adaptation_rate"]),
    )


def learned_bh_two_phase(key: PRNGKeyArray | None = None) -> LearnedSearch:
    """`bh-two-phase` with learned step size, temperature, pressure and moves.

    **Arguments:**

    - `key`: unused; present in all architectures.
    """
    names = ("step_size", "temperature", "pressure", "exchange", "adaptation_rate")
    return LearnedSearch(_make_bh_two_phase, {name: to_float(0) for name in names})


def _make_bh_two_phase(system: SystemInfo, departures: Departures) -> AbstractOptimizer:
    return bh_two_phase(
        system,
        depart(0.36, departures["step_size"]),
        depart(1.0, departures["temperature"]),
        depart(10.0, departures["pressure"]),
        depart_fraction(0.5, departures["exchange"]),
        depart(0.02, departures["adaptation_rate"]),
    )


def learned_bh_symmetric(key: PRNGKeyArray | None = None) -> LearnedSearch:
    """`bh-symmetric` with all of its constants learned, and the prior of its groups.

    **Arguments:**

    - `key`: unused; present in all architectures.
    """
    departures = {
        **{name: jnp.zeros(np.shape(value)) for name, value in _list_rules().items()},
        **{f"prior_{name}": to_float(0) for name in dataclasses.asdict(Prior())},
        **{name: to_float(0) for name in ("pressure", "step_size")},
        **{name: to_float(0) for name in ("surface", "exchange")},
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
    surface, exchange = _share_moves(departures)
    return bh_symmetric(
        system,
        rules=Rules(**values),
        prior=Prior(**prior),
        pressure=depart(10.0, departures["pressure"]),
        step_size=depart(0.36, departures["step_size"]),
        surface=surface,
        exchange=exchange,
    )


def _list_rules() -> dict[str, Any]:
    """Constants of `bh-symmetric` by hand."""
    return {entry.name: entry.default for entry in dataclasses.fields(Rules)}


def _share_moves(
    departures: Departures,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Fractions of surface moves and, of alloys, of exchanges."""
    surface = depart_fraction(0.4, departures["surface"])
    exchange = depart_fraction(0.5 / 0.6, departures["exchange"])
    return surface, (1 - surface) * exchange
