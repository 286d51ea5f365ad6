"""Learned optimizers: inputs, network, equality with the definition, invariances."""

import json
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import needs_kernels
from optimizer_runs import descend, environment, finite, overlapping, start

import hopgym
from benchmarks.timing import reference_step
from hopgym.context import Context
from hopgym.optimizers import (
    FEATURES,
    Learn2Hop,
    MLPOpt,
    about,
    adam,
    adam4p,
    as_optax,
    bh_paper,
    bh_step,
    fire6p,
    load,
    make_optimizer,
    save,
    trained,
)
from hopgym.optimizers.fire import Fire
from hopgym.optimizers.learned import mlp_opt, new
from hopgym.optimizers.learned.input_scaling import direction, log_magnitude, logarithm
from hopgym.optimizers.learned.radial import CUTOFF, ETAS, radial_functions

KEY = jax.random.key(7)


def perturbed(model, size=0.1):
    """A model with weights that do something."""
    leaves, tree = jax.tree.flatten(model)
    keys = jax.random.split(KEY, len(leaves))
    moved = [
        x + size * jax.random.normal(key, x.shape, x.dtype)
        for x, key in zip(leaves, keys, strict=True)
    ]
    return jax.tree.unflatten(tree, moved)


@eqx.filter_jit
def one_update(model, env, positions):
    state = env.reset(KEY, positions)
    opt_state = model.init(positions, key=KEY, context=env.context)
    return model.update(
        state.gradient,
        opt_state,
        positions,
        value=state.energy,
        context=env.context,
    )[0]


@eqx.filter_jit
def given_gradient(model, gradient, positions, context):
    opt_state = model.init(positions, key=KEY, context=context)
    value = jnp.zeros(())
    return model.update(gradient, opt_state, positions, value=value, context=context)[0]


# Inputs


@settings(max_examples=50, deadline=None)
@given(st.floats(-30, 30), st.sampled_from([-1, 1]))
def test_scaling_is_the_papers(exponent, side):
    x = float(np.float32(side * 10**exponent))
    size, sign = np.log(abs(x)) / 10, np.sign(x)
    if abs(x) <= np.exp(-10):
        size, sign = -1, x * np.exp(10)
    value = jnp.asarray(x, jnp.float32)
    assert float(log_magnitude(value)) == pytest.approx(size, abs=1e-6)
    assert float(direction(value)) == pytest.approx(sign, rel=1e-5)


def test_logarithm_is_exact_and_has_the_derivative():
    x = jnp.asarray(np.geomspace(1e-30, 1e30, 4001), jnp.float32)
    expected = np.log(np.asarray(x, np.float64))
    np.testing.assert_allclose(logarithm(x), expected, rtol=2e-7, atol=3e-7)
    slopes = jax.vmap(jax.grad(logarithm))(x)
    np.testing.assert_allclose(slopes, 1 / np.asarray(x, np.float64), rtol=1e-6)


by_either = pytest.mark.parametrize(
    "by", [pytest.param("native", marks=needs_kernels), "xla"]
)


@by_either
@pytest.mark.parametrize("name", ["LJ-13", "Gupta-Ag4Au3", "SW-Si64"])
def test_radial_functions_are_those_of_jax_md(backend, by, name):
    backend(by)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Explicitly requested dtype")
        from jax_md import space
        from jax_md._nn import behler_parrinello

        with jax.enable_x64(True):
            env = environment(name, True)
            context = env.context
            here = start(name, True) / context.length
            ours = eqx.filter_jit(radial_functions)(here, context, unlike=True)
            if context.box is None:
                displacement, _ = space.free()
            else:
                displacement, _ = space.periodic(context.box / context.length)
            theirs = jax.jit(
                behler_parrinello.radial_symmetry_functions(
                    displacement, context.species, jnp.asarray(ETAS), CUTOFF
                )
            )(here)
    assert ours.dtype == jnp.float64
    kinds = len(set(np.asarray(context.species).tolist()))
    table = np.asarray(theirs).reshape(len(here), kinds, len(ETAS))
    np.testing.assert_allclose(ours[:, : len(ETAS)], table.sum(1), rtol=1e-12)
    unlike = np.zeros_like(table[:, 0])
    if kinds == 2:
        own = np.asarray(context.species)
        unlike = table[np.arange(len(here)), 1 - own]
    np.testing.assert_allclose(ours[:, len(ETAS) :], unlike, rtol=1e-12)


@by_either
def test_radial_functions_in_single_precision_and_of_far_atoms(backend, by):
    backend(by)
    context = environment("LJ-13").context
    here = start("LJ-13").at[0].set(jnp.array([50.0, 0, 0]))
    ours = eqx.filter_jit(radial_functions)(here, context, unlike=False)
    assert np.all(ours[0] == 0)
    d = np.linalg.norm(np.asarray(here, float)[:, None] - np.asarray(here), axis=-1)
    gamma = np.where((d < CUTOFF) & (d > 0), 0.5 * (1 + np.cos(np.pi * d / CUTOFF)), 0)
    for eta, column in zip(ETAS, ours.T, strict=True):
        expected = (np.exp(-eta * d**2) * gamma).sum(axis=1)
        np.testing.assert_allclose(column, expected, rtol=2e-6, atol=2e-6)


# The network


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("LJ-13", {"kinds": 1}),
        ("Gupta-Ag4Au3", {"kinds": 2}),
        ("SW-Si8", {"kinds": 2, "depth": 3, "hidden": 8}),
        ("Gupta-Ag4Au3", {"features": ("radial", "species")}),
        ("LJ-7", {"features": ("gradients", "step", "adam")}),
    ],
)
def test_twenty_steps_are_those_of_the_definition(name, options):
    env = environment(name)
    model = perturbed(Learn2Hop(KEY, **options))
    context = env.context

    @eqx.filter_jit
    def literally(model, positions):
        state = env.reset(KEY, positions)

        def step(_, carry):
            state, opt_state = carry
            moved, opt_state = reference_step.update(
                model, state.gradient, opt_state, state.positions, context
            )
            return env.step(state, moved), opt_state

        carry = (state, reference_step.init(positions))
        return jax.lax.fori_loop(0, 20, step, carry)[0].positions

    fast = eqx.filter_jit(lambda model, x: descend(env, model, x, 20).positions)
    given = start(name)
    moved = fast(model, given)
    expected = literally(model, given)
    length = float(env.system.length)
    assert float(jnp.max(jnp.abs(moved - given))) > 1e-3 * length
    np.testing.assert_allclose(moved, expected, rtol=0, atol=1e-5 * length)


@pytest.mark.parametrize("name", FEATURES)
def test_every_group_of_features_can_be_left_out_and_counts(name):
    env = environment("Gupta-Ag4Au3")
    whole = perturbed(Learn2Hop(KEY))
    without = Learn2Hop(KEY, features=[f for f in FEATURES if f != name])
    assert name not in without.features
    sizes = [
        sum(len(w) for w in (m.network.component, m.network.atom, m.network.step))
        for m in (whole, without)
    ]
    assert sizes[1] < sizes[0]
    alone = perturbed(Learn2Hop(KEY, features=[name]))
    moved = one_update(alone, env, start("Gupta-Ag4Au3"))
    assert finite(moved) and float(jnp.max(jnp.abs(moved))) > 0


def test_nothing_moves_before_it_is_trained():
    assert np.all(one_update(Learn2Hop(KEY), environment("LJ-7"), start("LJ-7")) == 0)
    assert np.all(one_update(MLPOpt(KEY), environment("LJ-7"), start("LJ-7")) == 0)


@pytest.mark.parametrize("make", [Learn2Hop, MLPOpt])
@pytest.mark.parametrize("name", ["LJ-7", "Gupta-Ag4Au3", "SW-Si8"])
def test_atoms_can_be_renumbered_and_the_structure_be_moved(name, make):
    with jax.enable_x64(True):
        env = environment(name, True)
        model = perturbed(make(KEY))
        given = start(name, True)
        moved = one_update(model, env, given)
        order = np.arange(len(given))
        order[:4] = [1, 0, 3, 2]  # of one species
        again = one_update(model, env, given[order])
        np.testing.assert_allclose(again, moved[order], rtol=1e-7, atol=1e-9)
        if env.system.box is None:
            shifted = given + jnp.array([3.0, -1.0, 0.5])
        else:
            shifted = given.at[0].add(env.system.box * jnp.array([1, 0, -2]))
        again = one_update(model, env, shifted)
        np.testing.assert_allclose(again, moved, rtol=1e-6, atol=1e-9)


def test_a_network_blind_to_species_takes_all_for_one():
    env = environment("Gupta-Ag4Au3")
    context = env.context
    model = perturbed(Learn2Hop(KEY, kinds=1))
    g, x = jnp.ones((7, 3)), start("Gupta-Ag4Au3")
    one = given_gradient(model, g, x, context)
    same = Context(
        species=jnp.zeros_like(context.species),
        box=None,
        length=context.length,
        energy_unit=context.energy_unit,
    )
    np.testing.assert_array_equal(one, given_gradient(model, g, x, same))


def test_reduced_units_make_potentials_alike():
    """Lengths and energies in other units move the atoms alike."""
    env = environment("LJ-7")
    model = perturbed(Learn2Hop(KEY))
    context = env.context
    g, x = jax.random.normal(KEY, (7, 3)), start("LJ-7")
    plain = given_gradient(model, g, x, context)
    other = Context(
        species=context.species,
        box=None,
        length=jnp.array(2.0),
        energy_unit=jnp.array(0.5),
    )
    scaled = given_gradient(model, g / 4, 2 * x, other)
    np.testing.assert_allclose(scaled, 2 * plain, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("make", [Learn2Hop, MLPOpt])
def test_overlaps_and_wild_weights_stay_finite(make):
    env = environment("LJ-7")
    model = perturbed(make(KEY), size=30.0)
    given = overlapping(env, start("LJ-7"))
    state = eqx.filter_jit(lambda model: descend(env, model, given, 50))(model)
    assert finite(state) and state.faults == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"features": ["gradient"]}, "unknown feature 'gradient'; did you mean"),
        ({"features": []}, "at least one"),
        ({"kinds": 3}, "kinds 1 or 2"),
        ({"hidden": 0}, "hidden >= 1"),
        ({"depth": 1}, "depth >= 2"),
    ],
)
def test_senseless_networks_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Learn2Hop(KEY, **wrong)


def test_mlp_opt_is_its_formula():
    env = environment("LJ-7")
    model = perturbed(MLPOpt(KEY))
    x = start("LJ-7")
    g = np.asarray(env.reset(KEY, x).gradient, float)
    moved = one_update(model, env, x)
    rates = np.asarray(mlp_opt.DECAYS)
    here = np.asarray(x - x.mean(axis=0), float)
    columns = [g[..., None], here[..., None], (1 - rates) * g[..., None]]
    inputs = np.concatenate(columns, axis=-1)
    inputs /= np.sqrt((inputs**2).mean(axis=(0, 1)) + 1e-5)
    steps = np.tanh(-np.ones(len(mlp_opt.PERIODS)))
    inputs = np.concatenate([inputs, np.broadcast_to(steps, (7, 3, 11))], axis=-1)
    n = jax.tree.map(lambda w: np.asarray(w, float), model.network)
    values = inputs @ np.concatenate([n.component, n.step]) + n.bias
    for weights, bias in n.inner:
        values = np.maximum(values, 0) @ weights + bias
    out = np.maximum(values, 0) @ n.output + n.output_bias
    expected = -1e-3 * out[..., 0] * np.exp(1e-3 * out[..., 1])
    np.testing.assert_allclose(moved, expected, rtol=2e-4, atol=1e-8)


@pytest.mark.parametrize(
    ("learned", "plain"),
    [
        (adam4p(learning_rate=5e-3), adam(5e-3)),
        (fire6p(time_step=5e-3), Fire(dt_start=5e-3, dt_max=4e-2)),
        (bh_step(step=0.3), bh_paper(step=0.3)),
    ],
    ids=["adam4p", "fire6p", "bh-step"],
)
def test_learned_hyper_parameters_begin_with_the_usual_ones(learned, plain):
    env = environment("LJ-7")
    run = eqx.filter_jit(lambda o: descend(env, o, start("LJ-7"), 30).positions)
    runs = [run(optimizer) for optimizer in (learned, plain)]
    np.testing.assert_allclose(runs[0], runs[1], rtol=0, atol=2e-4)


# Files


@pytest.mark.parametrize("name", trained())
def test_trained_weights_say_what_they_are(name):
    system = environment("LJ-13").system
    assert eqx.tree_equal(make_optimizer(name, system=system, steps=9), load(name))
    header = about(name)
    for entry in ("architecture", "systems", "command", "seed", "versions", "licence"):
        assert header[entry] not in (None, "", [])


@pytest.mark.parametrize(
    "name", [name for name in trained() if name.startswith("learn2hop")]
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
    optimizer = as_optax(load(trained()[0]), env.context, KEY)
    positions = start("LJ-7")
    state = optimizer.init(positions)
    energy, gradient = env.system.energy_and_gradient(positions)
    updates, state = optimizer.update(gradient, state, positions, value=energy)
    assert updates.shape == positions.shape and float(jnp.max(jnp.abs(updates))) > 0


def test_weights_come_back_from_their_file(tmp_path):
    model = perturbed(Learn2Hop(KEY, features=("gradients", "radial"), kinds=1))
    path = tmp_path / "own.eqx"
    architecture = {"name": "learn2hop", "features": ["gradients", "radial"]}
    save(path, model, architecture | {"kinds": 1}, {"seed": 3})
    assert eqx.tree_equal(load(path), model)
    header = json.loads(path.read_bytes().partition(b"\n")[0])
    assert header["seed"] == 3 and header["licence"]
    with jax.enable_x64(True):
        assert load(path).network.output.dtype == jnp.float64


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda content: content[:-100], "damaged or not whole"),
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
        new("learn2hip", KEY)
    with pytest.raises(ValueError, match="no option 'width'"):
        new("learn2hop", KEY, width=3)
