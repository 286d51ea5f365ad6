"""Searches with learned constants: what the numbers mean, and files of them."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hopgym
from hopgym.optimizers import (
    ZOO,
    LearnedSearch,
    SymmetricBasinHopping,
    load,
    save,
)
from hopgym.optimizers.learned import CHOICES, make_untrained
from hopgym.optimizers.learned.search import (
    depart,
    depart_fraction,
    give_rates,
    take_constants,
)
from hopgym.optimizers.learned.selection import select_choice, select_epochs
from hopgym.optimizers.symmetry.choices.experience import ByExperience
from hopgym.optimizers.symmetry.choices.merit import ByMerit
from hopgym.optimizers.symmetry.choices.ucb import UCB
from hopgym.optimizers.symmetry.prior import Prior
from hopgym.optimizers.symmetry.rules import FRACTIONS, Rules
from hopgym.optimizers.symmetry.subspaces import BoxSubspaces, make_subspaces

SEARCHES = {
    **{name: {"name": name} for name in ("bh-lbfgs", "bh-two-phase", "bh-symmetric")},
    "network": {"name": "bh-symmetric", "choice": "network"},
    "ucb": {"name": "bh-symmetric", "choice": "ucb"},
    "network-experience": {
        "name": "bh-symmetric",
        "choice": "network-experience",
        "known": 2,
    },
    "experience": {"name": "bh-symmetric", "choice": "experience", "known": 2},
}
KEY = jax.random.key(0)
# Point groups with the inversion, of order up to 24.
INVERSION = ("Ci", "C2h", "C4h", "C6h", "S6", "S10")
INVERSION += ("D2h", "D4h", "D6h", "D3d", "D5d", "Th")


def make_learned(name, **departures) -> Any:
    search = make_untrained(key=KEY, **SEARCHES[name])
    assert isinstance(search, LearnedSearch)
    return LearnedSearch(search.make, {**search.departures, **departures})


@pytest.mark.parametrize("system", ["LJ-13", "Gupta-Ag4Au3", "SW-Si64", "SW-Si8"])
@pytest.mark.parametrize("name", SEARCHES)
def test_untrained_it_is_the_search_of_the_zoo(name, system, double):
    system = hopgym.get_system(system)
    search = make_learned(name).for_system(system)
    if name in CHOICES and isinstance(search, SymmetricBasinHopping):
        # Nothing is known of the groups of a box.
        is_box = name == "experience" and isinstance(search.subspaces, BoxSubspaces)
        assert isinstance(search.choice, ByMerit if is_box else CHOICES[name])
        search = dataclasses.replace(search, choice=ByMerit())
    expected = ZOO[SEARCHES[name]["name"]](system)
    assert jax.tree.structure(search) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(search), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        tolerance = 1e-12 if double else 2e-6
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_every_constant_is_learned():
    names = [entry.name for entry in dataclasses.fields(Rules)]
    system = hopgym.get_system("Gupta-Ag19Au19")
    usual = make_learned("bh-symmetric").for_system(system)
    for name in names:
        shape = jnp.shape(getattr(Rules(), name))
        search = make_learned("bh-symmetric", **{name: jnp.full(shape, 0.7)})
        before, after = (
            np.asarray(getattr(one.rules, name))
            for one in (usual, search.for_system(system))
        )
        assert (after > before).all()
        if name in FRACTIONS:
            assert (after < 1).all()
    for entry in dataclasses.fields(Prior):
        search = make_learned("bh-symmetric", **{f"prior_{entry.name}": jnp.array(0.5)})
        changed = search.for_system(system).subspaces.logits
        same = np.array_equal(changed, usual.subspaces.logits)
        assert same == (entry.name == "log_parts")


def test_constants_of_bandits_are_learned():
    search = make_learned("ucb")
    shifted = jax.tree.map(lambda x: x + jnp.log(2.0), search.departures["choice"])
    choice = make_learned("ucb", choice=shifted).for_system(get_lj38()).choice
    doubled = jax.tree.map(lambda x: 2 * x, UCB())
    for a, b in zip(jax.tree.leaves(choice), jax.tree.leaves(doubled), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def get_lj38():
    return hopgym.get_system("LJ-38")


def test_what_a_choice_depends_on():
    for name in ("bh-symmetric", "network", "ucb", "network-experience", "experience"):
        search = make_learned(name)
        flags = jax.tree.leaves(select_choice(search))
        assert len(flags) == len(jax.tree.leaves(search))
        selected = {
            key
            for key, value in select_choice(search).departures.items()
            if any(jax.tree.leaves(value))
        }
        prior = {f"prior_{entry.name}" for entry in dataclasses.fields(Prior)}
        merit = (
            {"exploration", "spread"} if name in ("bh-symmetric", "network") else set()
        )
        own = {"choice"} if name != "bh-symmetric" else set()
        knowing = {"network-experience": own, "experience": set()}
        assert selected == knowing.get(name, prior | merit | own)
    factors = select_choice(make_learned("network")).departures["choice"].factors
    assert factors is False
    with pytest.raises(ValueError, match="chooses groups"):
        select_choice(make_learned("bh-lbfgs"))


def test_what_epochs_depend_on():
    for name in ("bh-symmetric", "network", "ucb", "network-experience", "experience"):
        search = make_learned(name)
        rest = jax.tree.leaves(select_epochs(search))
        choice = jax.tree.leaves(select_choice(search))
        assert not any(a and b for a, b in zip(rest, choice, strict=True))
        names = {key for key, flag in select_epochs(search).departures.items() if flag}
        assert {"patience", "pressure", "free_hops"} <= names and "rates" not in names
        assert not {"exploration", "spread", "walk_share", "step_size"} & names
    network = select_epochs(make_learned("network")).departures["choice"]
    assert not any(jax.tree.leaves(network))


def test_constants_of_one_search_and_the_choice_of_another():
    trained = make_learned("bh-symmetric", patience=jnp.array(0.3))
    found = take_constants(make_learned("network"), trained)
    assert found.departures["patience"] == trained.departures["patience"]
    search: Any = found.for_system(get_lj38())
    assert isinstance(search.choice, CHOICES["network"])
    assert float(search.rules.patience) == pytest.approx(5 * np.exp(0.3))
    with pytest.raises(ValueError, match="chooses groups"):
        take_constants(make_learned("bh-lbfgs"), trained)


def test_rates_of_other_systems():
    """Each group of a system has its own; a box, whose groups are others, none."""
    rates = [{"C5": 2e-4, "Th": 1e-4}, {"C2": 3e-4, "I": 1.0}]
    search = give_rates(make_learned("experience"), rates)
    for name in ("LJ-6", "LJ-38", "Gupta-Ag19Au19"):
        own: Any = search.for_system(hopgym.get_system(name))
        assert isinstance(own.choice, ByExperience)
        known = np.asarray(own.choice.rates).T
        table = dict(zip(own.subspaces.names, known, strict=True))
        assert table["C5"].tolist() == pytest.approx([2e-4, 0])
        assert table["C2"].tolist() == pytest.approx([0, 3e-4])
        assert not table["Cs"].any() and ("Th" in table) == (name != "LJ-6")
    box: Any = search.for_system(hopgym.get_system("SW-Si64"))
    assert isinstance(box.choice, ByMerit)
    with_network = give_rates(make_learned("network-experience"), rates)
    both: Any = with_network.for_system(get_lj38())
    alone: Any = search.for_system(get_lj38())
    assert eqx.tree_equal(both.choice.base, alone.choice)
    moved = take_constants(search, make_learned("bh-symmetric"))
    np.testing.assert_array_equal(moved.departures["rates"], search.departures["rates"])
    for wrong, message in (
        (rates[:1], "rates of 1 systems, but made for 2"),
        ([rates[0], {}], "must have met the minimum"),
        ([rates[0], {"I": 1.0}], "must have met the minimum"),
    ):
        with pytest.raises(ValueError, match=message):
            give_rates(make_learned("experience"), wrong)
    with pytest.raises(ValueError, match="only the choices experience and"):
        give_rates(make_learned("network"), rates)


def test_an_unknown_choice():
    with pytest.raises(KeyError, match="choice"):
        make_untrained("bh-symmetric", KEY, choice="thomson")


def test_moves_share_all_hops():
    """Whatever the numbers, fractions are none that add up to more than all."""
    system = hopgym.get_system("Gupta-Ag4Au3")
    for size in (-30.0, -1.0, 2.0, 30.0):
        departures = {"surface": jnp.array(size), "exchange": jnp.array(size)}
        move = make_learned("bh-lbfgs", **departures).for_system(system).move
        assert (np.asarray(move.weights) >= 0).all()
        assert float(move.weights.sum()) == pytest.approx(1)


def test_departures():
    np.testing.assert_allclose(depart(3.0, jnp.log(2.0)), 6, rtol=1e-6)
    # The odds double.
    np.testing.assert_allclose(depart_fraction(0.5, jnp.log(2.0)), 2 / 3, rtol=1e-6)


def test_prior():
    """Groups of a kind differ by their orders only."""
    subspaces = make_subspaces(
        hopgym.get_system("LJ-38"), Prior(log_order=-1.0, improper=0.0)
    )
    assert subspaces is not None
    logits = dict(zip(subspaces.names, np.asarray(subspaces.logits), strict=True))
    assert logits["C5"] - logits["D5"] == pytest.approx(np.log(2), abs=1e-5)
    assert logits["T"] - logits["Td"] == pytest.approx(np.log(2), abs=1e-5)
    assert logits["C2"] == pytest.approx(-np.log(2), abs=1e-5)
    other = make_subspaces(get_lj38(), Prior(log_order=-1.0, improper=0.0, inversion=2))
    assert other is not None
    raised = other.logits - subspaces.logits
    has = [name in INVERSION for name in other.names]
    np.testing.assert_allclose(raised, np.where(has, 2, 0), atol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_prior_is_finite(value):
    with pytest.raises(ValueError, match="pentagonal must be finite"):
        Prior(pentagonal=value)


def test_files_hold_searches_of_all_systems(tmp_path):
    departures = {"step_size": jnp.array(0.3), "temperature": jnp.array(-0.2)}
    search = make_learned("bh-lbfgs", **departures)
    save(tmp_path / "search.eqx", search, {"name": "bh-lbfgs"}, {})
    found = load(tmp_path / "search.eqx")
    for name in ("LJ-5", "SW-Si8"):
        system = hopgym.get_system(name)
        environment = hopgym.Environment(system)
        optimizers = found, search.for_system(system)
        energies = [
            hopgym.rollout(environment, one, KEY, 2, 100).state.best_energy
            for one in optimizers
        ]
        np.testing.assert_array_equal(energies[0], energies[1])


@pytest.mark.parametrize("name", SEARCHES)
def test_searches_are_made_within_traced_functions(name):
    """As trainings do, with a system that is known."""
    search = make_learned(name)
    for system in ("LJ-7", "Gupta-Ag4Au3", "SW-Si64"):
        system = hopgym.get_system(system)
        leaves = jax.jit(lambda s, to=system: jax.tree.leaves(s.for_system(to)))(search)
        expected = jax.tree.leaves(search.for_system(system))
        for a, b in zip(leaves, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)
        with pytest.raises(ValueError, match="species of its system"):
            jax.jit(lambda to, s=search: jax.tree.leaves(s.for_system(to)))(system)


def test_without_a_system_it_is_no_optimizer():
    search = make_untrained("bh-symmetric", KEY)
    system = hopgym.get_system("LJ-5")
    context = hopgym.Environment(system).context
    with pytest.raises(ValueError, match="for_system"):
        search.init(jnp.zeros((5, 3)), key=KEY, context=context)
