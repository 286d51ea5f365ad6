"""Trained weights: their files, and what they find."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from optimizer_runs import environment, perturb_weights, start

import hopgym
from hopgym.optimizers import (
    Learn2Hop,
    adam,
    as_optax,
    list_trained,
    load,
    make_optimizer,
    read_header,
    save,
)
from hopgym.optimizers.base import adapt
from hopgym.optimizers.learned import make_untrained

pytestmark = pytest.mark.optimised

KEY = jax.random.key(7)


@pytest.mark.parametrize("name", list_trained())
def test_trained_weights_say_what_they_are(name):
    system = environment("LJ-13").system
    expected = adapt(load(name), system)
    assert eqx.tree_equal(make_optimizer(name, system=system, steps=9), expected)
    header = read_header(name)
    for entry in ("architecture", "systems", "command", "seed", "versions", "licence"):
        assert header[entry] not in (None, "", [])


@pytest.mark.parametrize(
    "name", [name for name in list_trained() if name.startswith("learn2hop")]
)
def test_trained_networks_hop_to_the_minimum(name):
    """Where Adam finds the minimum of LJ-13 from one start in ten."""
    env = environment("LJ-13")
    optimizer = load(name)
    hits = []
    for policy in (optimizer, adam()):
        state = hopgym.rollout(env, policy, KEY, 16, 2000).state
        found = hopgym.quench(env.system, state.best_positions)
        hits.append(int(np.sum(env.system.is_hit(found.energy))))
    assert hits[0] >= 10 and hits[1] <= 5


def test_trained_weights_are_an_optax_optimizer():
    env = environment("LJ-7")
    optimizer = as_optax(load(list_trained()[0]), env.context, KEY)
    positions = start("LJ-7")
    state = optimizer.init(positions)
    energy, gradient = env.system.energy_and_gradient(positions)
    updates, state = optimizer.update(gradient, state, positions, value=energy)
    assert isinstance(updates, jax.Array)
    assert updates.shape == positions.shape and float(jnp.max(jnp.abs(updates))) > 0


def test_weights_come_back_from_their_file(tmp_path):
    model = perturb_weights(Learn2Hop(KEY, features=("gradients", "radial"), kinds=1))
    path = tmp_path / "own.eqx"
    architecture = {"name": "learn2hop", "features": ["gradients", "radial"]}
    save(path, model, architecture | {"kinds": 1}, {"seed": 3})
    assert eqx.tree_equal(load(path), model)
    header = json.loads(path.read_bytes().partition(b"\n")[0])
    assert header["seed"] == 3 and header["licence"]
    with jax.enable_x64(True):
        precise = load(path)
    assert isinstance(precise, Learn2Hop)
    assert precise.network.output.dtype == jnp.float64


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda content: content[:-100], "is damaged"),
        (lambda content: content[:40], "not a file of hopgym"),
        (lambda content: b"", "not a file of hopgym"),
        (lambda content: content.replace(b"hopgym-1", b"hopgym-9"), "'hopgym-9'"),
        (lambda content: content.replace(b"learn2hop", b"learn2hip"), "learn2hip"),
        (lambda content: content.replace(b'"hidden": 8', b'"hidden": 9'), "arrays"),
        (lambda content: content.replace(b'"hidden"', b'"hiding"'), "hiding"),
    ],
)
def test_damaged_and_foreign_files_are_refused(tmp_path, spoil, message):
    path = tmp_path / "own.eqx"
    save(path, Learn2Hop(KEY, hidden=8), {"name": "learn2hop", "hidden": 8}, {})
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ValueError, match=message):
        load(path)


def test_unknown_names_and_files_are_refused(tmp_path):
    with pytest.raises(KeyError, match="unknown trained optimizer 'learn2hop-lj12'"):
        load("learn2hop-lj12")
    with pytest.raises(FileNotFoundError, match=r"nothing\.eqx"):
        load(tmp_path / "nothing.eqx")
    with pytest.raises(KeyError, match="unknown architecture 'learn2hip'"):
        make_untrained("learn2hip", KEY)
    with pytest.raises(ValueError, match="no option 'width'"):
        make_untrained("learn2hop", KEY, width=3)
