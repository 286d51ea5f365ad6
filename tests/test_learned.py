"""Learned optimizers: equality with the definition, features, invariances."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from optimizer_runs import (
    descend,
    environment,
    finite,
    overlapping,
    perturb_weights,
    start,
)

from benchmarks.timing import reference_step
from hopgym.context import Context
from hopgym.optimizers import (
    FEATURES,
    Learn2Hop,
    MLPOpt,
    adam,
    adam4p,
    bh_paper,
    bh_step,
    fire6p,
)
from hopgym.optimizers.fire import Fire
from hopgym.optimizers.learned import mlp_opt

pytestmark = pytest.mark.optimised

KEY = jax.random.key(7)


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
    model = perturb_weights(Learn2Hop(KEY, **options))
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
    whole = perturb_weights(Learn2Hop(KEY))
    without = Learn2Hop(KEY, features=[f for f in FEATURES if f != name])
    assert name not in without.features
    sizes = [
        sum(len(w) for w in (m.network.component, m.network.atom, m.network.step))
        for m in (whole, without)
    ]
    assert sizes[1] < sizes[0]
    alone = perturb_weights(Learn2Hop(KEY, features=[name]))
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
        model = perturb_weights(make(KEY))
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
    model = perturb_weights(Learn2Hop(KEY, kinds=1))
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
    model = perturb_weights(Learn2Hop(KEY))
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
    model = perturb_weights(make(KEY), size=30.0)
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
    model = perturb_weights(MLPOpt(KEY))
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
        (bh_step(step=0.3), bh_paper(std=0.3)),
    ],
    ids=["adam4p", "fire6p", "bh-step"],
)
def test_learned_hyper_parameters_begin_with_the_usual_ones(learned, plain):
    env = environment("LJ-7")
    run = eqx.filter_jit(lambda o: descend(env, o, start("LJ-7"), 30).positions)
    runs = [run(optimizer) for optimizer in (learned, plain)]
    np.testing.assert_allclose(runs[0], runs[1], rtol=0, atol=2e-4)
