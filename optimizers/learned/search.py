"""Searches with learned constants.

Learned are the departures from the constants of the zoo: 0 is the search of the zoo.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from hopgym._converters import to_float
from hopgym._suggest import describe_unknown_name
from hopgym.context import Context, SystemInfo
from hopgym.optimizers.base import AbstractOptimizer
from hopgym.optimizers.basin_hopping import BasinHopping, bh_lbfgs, bh_two_phase
from hopgym.optimizers.learned.network_moves import MoveNetwork, tell_atoms_apart
from hopgym.optimizers.moves import Mixture
from hopgym.optimizers.quench_end import FITTED, QuenchEnd
from hopgym.optimizers.restart_rule import NEVER, RestartRule
from hopgym.optimizers.symmetric_basin_hopping import (
    SymmetricBasinHopping,
    bh_symmetric,
)
from hopgym.optimizers.symmetry.choices.base import AbstractChoice
from hopgym.optimizers.symmetry.choices.experience import ByExperience
from hopgym.optimizers.symmetry.choices.halving import SuccessiveHalving
from hopgym.optimizers.symmetry.choices.merit import ByMerit
from hopgym.optimizers.symmetry.choices.network import (
    FINDINGS,
    ByNetwork,
    ChoiceNetwork,
)
from hopgym.optimizers.symmetry.choices.thompson import Thompson
from hopgym.optimizers.symmetry.choices.traits import TRAITS, describe_groups
from hopgym.optimizers.symmetry.choices.ucb import UCB
from hopgym.optimizers.symmetry.choices.uniform import Uniform
from hopgym.optimizers.symmetry.point_groups import list_point_groups
from hopgym.optimizers.symmetry.prior import Prior
from hopgym.optimizers.symmetry.rules import FRACTIONS, Rules
from hopgym.optimizers.symmetry.subspaces import LARGEST_ORDER, AbstractSubspaces

Departures = dict[str, Any]  # arrays, and a network
MOVES = ("surface", "exchange")  # constants that are fractions of the moves
QUENCH_END = "quench_end"  # entry of searches that learn when quenches end
# The constant, and weights of logarithms of the order of ten.
QUENCH_END_SCALES = (1.0, 0.1, 0.1, 0.1, 0.1, 0.1)
MOVE_NETWORK = "moves"  # entry of those whose moves tell atoms apart
RESTARTS = "restarts"  # entry of those that learn when to restart
MOVE_KINDS = ("alike", "network")
MOVE_HIDDEN = 8  # width of the hidden layer of their network
PRIOR = "prior_"  # begins the names of the constants of the prior
RATES = "rates"  # entry of those that know rates of other systems
EXPERIENCE = "experience"  # the choice by these alone
KNOWING = (EXPERIENCE, "network-experience")  # choices that know rates
# Columns of the rates.
GROUPS = tuple(g.name for g in list_point_groups() if g.order <= LARGEST_ORDER)
# How groups are chosen. A network is made for a key, and adds to the merit or to the
# expected rates.
CHOICES: dict[str, type[AbstractChoice]] = {
    "merit": ByMerit,
    "network": ByNetwork,
    EXPERIENCE: ByExperience,
    "network-experience": ByNetwork,
    "ucb": UCB,
    "thompson": Thompson,
    "halving": SuccessiveHalving,
    "uniform": Uniform,
}


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


def learned_bh_lbfgs(
    key: PRNGKeyArray | None = None,
    quench_end: bool = False,
    moves: str = "alike",
    restarts: bool = False,
) -> LearnedSearch:
    """`bh-lbfgs` with learned step size, temperature, moves and adaptation.

    **Arguments:**

    - `key`: random key of the network's weights.
    - `quench_end`: whether quenches end early, by learned weights, see
      [`hopgym.optimizers.quench_end.QuenchEnd`][].
    - `moves`: `"alike"` for all atoms, or those that a `"network"` tells apart, see
      [`hopgym.optimizers.learned.network_moves.NetworkMoves`][].
    - `restarts`: whether the walk is restarted, by learned weights, see
      [`hopgym.optimizers.restart_rule.RestartRule`][].

    **Raises:** `ValueError` for other moves.
    """
    if moves not in MOVE_KINDS:
        raise ValueError(f"moves must be one of {MOVE_KINDS}, got {moves!r}")
    departures = _stay(_list_constants(bh_lbfgs))
    if quench_end:
        departures[QUENCH_END] = jnp.zeros(len(FITTED))
    if moves == "network":
        network_key = jax.random.key(0) if key is None else key
        departures[MOVE_NETWORK] = MoveNetwork(network_key, MOVE_HIDDEN)
    if restarts:
        departures[RESTARTS] = jnp.zeros(len(NEVER))
    return LearnedSearch(_make_bh_lbfgs, departures)


def _make_bh_lbfgs(system: SystemInfo, departures: Departures) -> AbstractOptimizer:
    search = bh_lbfgs(system, **_depart_from(bh_lbfgs, departures))
    parts: dict[str, Any] = {"quench_end": _make_quench_end(departures)}
    if MOVE_NETWORK in departures:
        assert isinstance(search.move, Mixture)
        parts["move"] = tell_atoms_apart(search.move, departures[MOVE_NETWORK])
    if RESTARTS in departures:
        parts["restart"] = RestartRule(to_float(NEVER) + departures[RESTARTS])
    return dataclasses.replace(search, **parts)


def _make_quench_end(departures: Departures) -> QuenchEnd | None:
    if QUENCH_END not in departures:
        return None
    shift = to_float(QUENCH_END_SCALES) * departures[QUENCH_END]
    return QuenchEnd(to_float(FITTED) + shift)


def learned_bh_two_phase(key: PRNGKeyArray | None = None) -> LearnedSearch:
    """`bh-two-phase` with learned step size, temperature, pressure and moves.

    **Arguments:**

    - `key`: unused; present in all architectures.
    """
    return LearnedSearch(_make_bh_two_phase, _stay(_list_constants(bh_two_phase)))


def _make_bh_two_phase(system: SystemInfo, departures: Departures) -> AbstractOptimizer:
    return bh_two_phase(system, **_depart_from(bh_two_phase, departures))


def learned_bh_symmetric(
    key: PRNGKeyArray | None = None,
    choice: str = "merit",
    hidden: int = 8,
    quench_end: bool = False,
    known: int = 1,
    groups: Sequence[str] = GROUPS,
) -> LearnedSearch:
    """`bh-symmetric` with all of its constants learned, and the prior of its groups.

    **Arguments:**

    - `key`: random key of the network's weights.
    - `choice`: of the groups of epochs, one of `CHOICES`; its constants are learned,
      too.
    - `hidden`: width of the hidden layer of a network.
    - `quench_end`: whether quenches end early, as in `bh-lbfgs`.
    - `known`: number of systems whose rates are known by the choices `"experience"` and
      `"network-experience"`; see `give_rates`.
    - `groups`: names of the point groups whose rates are known.

    **Raises:** `KeyError` for an unknown choice or point group; `ValueError` if there
    is no group, or one twice.
    """
    if choice not in CHOICES:
        raise KeyError(describe_unknown_name("choice", choice, list(CHOICES)))
    for name in groups:
        if name not in GROUPS:
            raise KeyError(describe_unknown_name("point group", name, list(GROUPS)))
    if not groups or len(set(groups)) < len(groups):
        raise ValueError(f"groups must be one or more different names, got {groups}")
    network_key = jax.random.key(0) if key is None else key
    prior = dataclasses.asdict(Prior())
    departures = {
        **_stay(list_rules()),
        **_stay({f"{PRIOR}{name}": value for name, value in prior.items()}),
        **_stay(_list_constants(bh_symmetric)),
    }
    if CHOICES[choice] is ByNetwork:
        inputs = len(TRAITS) + len(FINDINGS)
        departures["choice"] = ChoiceNetwork(network_key, inputs, hidden)
    elif choice != EXPERIENCE:
        departures["choice"] = jax.tree.map(jnp.zeros_like, CHOICES[choice]())
    if choice in KNOWING:
        departures[RATES] = jnp.zeros((known, len(groups)))
    if quench_end:
        departures[QUENCH_END] = jnp.zeros(len(FITTED))
    return LearnedSearch(MakeBhSymmetric(choice, tuple(groups)), departures)


@dataclasses.dataclass(frozen=True)
class MakeBhSymmetric:
    """Makes a `bh-symmetric` with learned constants.

    **Arguments:**

    - `choice`: of the groups, one of `CHOICES`.
    - `groups`: names of those whose rates are known, as in the columns of the rates.
    """

    choice: str
    groups: tuple[str, ...] = GROUPS

    def __call__(
        self, system: SystemInfo, departures: Departures
    ) -> SymmetricBasinHopping | BasinHopping:
        values = {}
        for name, value in list_rules().items():
            shift = depart_fraction if name in FRACTIONS else depart
            values[name] = shift(value, departures[name])
        for name in ("rounds", "free_patience"):
            values[name] = jnp.round(values[name]).astype(jnp.int32)
        prior = {
            name: value + departures[f"{PRIOR}{name}"]
            for name, value in dataclasses.asdict(Prior()).items()
        }
        search = bh_symmetric(
            system,
            rules=Rules(**values),
            prior=Prior(**prior),
            **_depart_from(bh_symmetric, departures),
        )
        if isinstance(search, BasinHopping):
            return search
        base = self._make_base(search.subspaces, departures.get(RATES))
        if self.choice == EXPERIENCE:
            choice = base
        elif CHOICES[self.choice] is ByNetwork:
            traits = describe_groups(search.subspaces, len(system.species))
            choice = ByNetwork(departures["choice"], traits, base)
        else:
            usual = CHOICES[self.choice]()
            choice = jax.tree.map(depart, usual, departures["choice"])
        end = _make_quench_end(departures)
        return dataclasses.replace(search, choice=choice, quench_end=end)

    def _make_base(
        self,
        subspaces: AbstractSubspaces,
        rates: Float[Array, "known groups"] | None,
    ) -> ByMerit | ByExperience:
        """The choice by merit, or by known rates. None are known of groups of a box."""
        if rates is None or not set(subspaces.names) <= set(GROUPS):
            return ByMerit()
        # The last column is that of groups that are not known.
        rates = jnp.pad(rates, ((0, 0), (0, 1)))
        places = {name: k for k, name in enumerate(self.groups)}
        columns = np.array([places.get(name, -1) for name in subspaces.names])
        return ByExperience(rates[:, columns], jnp.ones(len(rates)))


def give_rates(
    search: AbstractOptimizer, rates: Sequence[dict[str, float]]
) -> LearnedSearch:
    """Tell a learned search how often groups meet the minima of other systems.

    **Arguments:**

    - `search`: its choice knows rates.
    - `rates`: hits per evaluation of each group, by its name, on each system. Those
      that are absent never meet the minimum.

    **Raises:** `ValueError` for another search, another number of systems than it was
    made for, or a system without a hit.
    """
    if not isinstance(search, LearnedSearch) or RATES not in search.departures:
        raise ValueError(f"only the choices {' and '.join(KNOWING)} know rates")
    groups = get_maker(search).groups
    table = np.array([[row.get(name, 0.0) for name in groups] for row in rates])
    if table.shape != search.departures[RATES].shape:
        known = len(search.departures[RATES])
        raise ValueError(f"rates of {len(rates)} systems, but made for {known}")
    if not table.any(axis=1).all():
        raise ValueError("a point group must have met the minimum of each known system")
    departures = {**search.departures, RATES: to_float(table)}
    return LearnedSearch(search.make, departures)


def check_chooses_groups(search: AbstractOptimizer) -> LearnedSearch:
    """Raise `ValueError` for anything but a learned search that chooses groups."""
    get_maker(search)
    assert isinstance(search, LearnedSearch)
    return search


def get_maker(search: AbstractOptimizer) -> MakeBhSymmetric:
    """What makes a learned search that chooses groups; `ValueError` for another one."""
    maker = getattr(search, "make", None)
    if not isinstance(maker, MakeBhSymmetric):
        raise ValueError("only bh-symmetric chooses groups")
    return maker


def take_constants(
    search: AbstractOptimizer, other: AbstractOptimizer
) -> LearnedSearch:
    """A learned `bh-symmetric` with the constants of another one and its own choice.

    What both choices have alike is the other's, too: the weights of the same kind of
    choice, and known rates of the same groups on as many systems.

    **Raises:** `ValueError` if one of them is no such search.
    """
    search, other = (check_chooses_groups(one) for one in (search, other))
    makers = [get_maker(one) for one in (search, other)]
    departures = dict(other.departures)
    for name, part in (("choice", "choice"), (RATES, "groups")):
        own = search.departures.get(name)
        is_same = len({getattr(maker, part) for maker in makers}) == 1
        if not (is_same and _has_shape_of(own, departures.get(name))):
            departures.pop(name, None)
            departures |= {} if own is None else {name: own}
    return LearnedSearch(search.make, departures)


def _has_shape_of(one: Any, other: Any) -> bool:
    shapes = (jax.tree.map(jnp.shape, x) for x in (one, other))
    return bool(eqx.tree_equal(*shapes))


def list_rules() -> dict[str, Any]:
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
