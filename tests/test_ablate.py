"""Which inputs a learned choice uses."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from epoch_files import get_groups, write_epochs

import hopgym
from benchmarks import ablate
from hopgym.optimizers.learned import make_untrained, save
from hopgym.optimizers.learned.search import give_rates
from hopgym.optimizers.symmetry.choices.network import ByNetwork

SYSTEM = hopgym.get_system("LJ-13")
OPTIONS = {"choice": "network", "hidden": 2}


@pytest.fixture(scope="module")
def search() -> Any:
    """A network that scores a group by its order only, the others' best."""
    plain: Any = make_untrained("bh-symmetric", jax.random.key(0), **OPTIONS)
    network = plain.departures["choice"]
    row = ablate.INPUTS.index("log_order")
    new = (
        jnp.zeros_like(network.first).at[row, 0].set(1.0),
        network.score.at[0].set(-40.0),
    )
    return eqx.tree_at(
        lambda s: (s.departures["choice"].first, s.departures["choice"].score),
        plain,
        new,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Only the groups with two operations find the minimum."""
    path = tmp_path_factory.mktemp("epochs")
    hits = [get_groups("LJ-13").index(name) for name in ("Cs", "Ci", "C2")]
    write_epochs(path, "LJ-13", hits=hits, energy=-44.0)
    return path


def test_the_input_that_counts(search, folder):
    found = ablate.ablate(search, [SYSTEM], folder, starts=100, steps=400)
    assert list(found) == [ablate.ALL, *ablate.INPUTS, ablate.NO_NETWORK]
    means = {name: losses.mean() for name, losses in found.items()}
    assert means["log_order"] > means[ablate.ALL] + 0.5
    assert means[ablate.NO_NETWORK] == means["log_order"]
    unused = set(ablate.INPUTS) - {"log_order"}
    for name in unused:
        np.testing.assert_array_equal(found[name], found[ablate.ALL])


def test_the_rates_that_count(search, folder):
    """What is known is wrong here, and the network knows nothing."""
    knowing: Any = make_untrained(
        "bh-symmetric",
        jax.random.key(0),
        choice="network-experience",
        hidden=2,
        known=1,
    )
    knowing = give_rates(knowing, [{"C3": 1e-2}])
    found = ablate.ablate(knowing, [SYSTEM], folder, starts=20, steps=400)
    means = {name: losses.mean() for name, losses in found.items()}
    others = {name: mean for name, mean in means.items() if name != ablate.NO_RATES}
    assert len(set(others.values())) == 1
    assert means[ablate.NO_RATES] < means[ablate.ALL] - 1


def test_what_the_network_does_not_see(search):
    blind = ablate.drop_inputs(search, ["log_order", "returns"])
    choice: Any = blind.for_system(SYSTEM).choice
    assert isinstance(choice, ByNetwork)
    assert not np.any(choice.network.first)


def test_the_command(search, folder, tmp_path, capsys):
    path = tmp_path / "search.eqx"
    save(path, search, {"name": "bh-symmetric", **OPTIONS}, {})
    words = ["--epochs", str(folder), "--systems", "LJ-13", "--starts", "40"]
    assert ablate.main([str(path), *words, "--steps", "400"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 + len(ablate.INPUTS)
    assert {line.split("|")[1] for line in lines[3:5]} == {" log order ", " network "}
    for own, message in (
        (["bh-symmetric"], "bh-symmetric"),
        (["learn2hop-lj13-ga"], "no network that chooses groups"),
        ([str(path), "--systems", "LJ-14"], "no epochs of LJ-14"),
    ):
        with pytest.raises(SystemExit) as stop:
            ablate.main([own[0], *words, *own[1:]])
        assert stop.value.code == 2 and message in capsys.readouterr().err
