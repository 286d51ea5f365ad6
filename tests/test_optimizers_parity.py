"""Optimizers against Optax, jax-md and ASE, step by step in float64."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.optimize import FIRE
from optimizer_runs import descend, environment, finite, start

import hopgym
from hopgym.environment import take_step
from hopgym.optimizers import (
    ZOO,
    Annealing,
    Fire,
    FireAse,
    OptaxOptimizer,
    adam,
    as_optax,
    make_optimizer,
)

pytestmark = pytest.mark.optimised


def optax_positions(env, optimizer, positions, steps):
    opt_state = optimizer.init(positions)

    def step(_, carry):
        positions, opt_state = carry
        value, gradient = env.system.energy_and_gradient(positions)
        update, opt_state = optax.with_extra_args_support(optimizer).update(
            gradient, opt_state, positions, value=value
        )
        return optax.apply_updates(positions, update), opt_state

    return jax.lax.fori_loop(0, steps, step, (positions, opt_state))[0]


OPTAX = {
    "adam": optax.adam(1e-2),
    "rmsprop": optax.rmsprop(1e-2),
    "polyak": optax.polyak_sgd(max_learning_rate=1e-3, f_min=-20.0),
    "chain": optax.chain(optax.clip(100.0), optax.sgd(1e-3, momentum=0.9)),
}


@pytest.mark.parametrize("name", OPTAX)
def test_equals_optax_step_by_step(name):
    with jax.enable_x64(True):
        env = environment("LJ-7", True)
        positions = start("LJ-7", True)
        if name in ZOO:
            wrapped = make_optimizer(name, system=env.system, steps=200)
        else:
            wrapped = OptaxOptimizer(OPTAX[name])

        @jax.jit
        def run(steps):
            ours = descend(env, wrapped, positions, steps).positions
            return ours, optax_positions(env, OPTAX[name], positions, steps)

        for steps in (1, 2, 200):
            ours, theirs = run(steps)
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10)


def test_as_optax_gives_an_optimizer_of_hopgym_to_optax():
    with jax.enable_x64(True):
        env = environment("LJ-7", True)
        positions = start("LJ-7", True)
        for ours in (adam(), Fire(dt_start=0.005, dt_max=0.04), Annealing(50)):
            exported = as_optax(ours, env.context, jax.random.key(0))
            np.testing.assert_allclose(
                optax_positions(env, optax.chain(exported), positions, 20),
                descend(env, ours, positions, 20).positions,
                rtol=0,
                atol=1e-10,
            )
        opt_state = exported.init(positions)
        with pytest.raises(ValueError, match="value=energy"):
            exported.update(positions, opt_state, positions)
        with pytest.raises(ValueError, match="value=energy"):
            exported.update(positions, opt_state, value=jnp.zeros(()))


@pytest.mark.parametrize(
    "make",
    [optax.lbfgs, optax.lbfgs(), optax.chain(optax.clip(1.0), optax.lbfgs())],
    ids=["function", "made", "chain"],
)
def test_an_optax_line_search_is_refused(make):
    env = environment("LJ-7")
    with pytest.raises(ValueError, match="value_fn"):
        hopgym.rollout(env, OptaxOptimizer(make), jax.random.key(0), 1, 10)


def test_optax_lbfgs_without_line_search_is_a_member():
    env = environment("LJ-7")
    made = OptaxOptimizer(functools.partial(optax.lbfgs, linesearch=None))
    result = hopgym.rollout(env, made, jax.random.key(0), start("LJ-7")[None], 3)
    assert result.steps == 3


def test_hyper_parameters_of_a_made_optimizer_are_refused():
    with pytest.raises(ValueError, match="learning_rate"):
        OptaxOptimizer(optax.adam(1e-2), learning_rate=1e-3)


def compare_fires(monkeypatch, system, numbers_of_steps, parameters):
    """Largest differences of positions to jax-md's after some numbers of steps.

    jax-md computes in half precision (`static_cast`) and single precision (`f32`)
    unless told otherwise.
    """
    from jax_md import minimize, simulate, util

    monkeypatch.setattr(util, "static_cast", lambda *xs: [jnp.asarray(x) for x in xs])
    monkeypatch.setattr(simulate, "f32", jnp.float64)
    with jax.enable_x64(True):
        env = environment(system, True)
        positions = start(system, True)
        begin, step = minimize.fire_descent(
            lambda positions, **_: -env.system.energy_and_gradient(positions)[1],
            lambda positions, shift, **_: positions + shift,
            **parameters,
        )

        @jax.jit
        def compare(steps):
            theirs = jax.lax.fori_loop(
                0, steps, lambda _, state: step(state), begin(positions)
            ).position
            ours = descend(env, Fire(**parameters), positions, steps).positions
            return jnp.max(jnp.abs(ours - theirs))

        return np.array([compare(steps) for steps in numbers_of_steps])


def test_fire_equals_jax_md_with_its_defaults(monkeypatch):
    steps = (1, 2, 10, 200)
    assert np.all(compare_fires(monkeypatch, "Gupta-Ag4Au3", steps, {}) < 1e-10)


def test_fire_equals_jax_md_with_other_parameters(monkeypatch):
    parameters = {
        "dt_start": 0.02,
        "dt_max": 0.03,
        "n_min": 3.0,
        "f_inc": 1.2,
        "f_dec": 0.4,
        "alpha_start": 0.2,
        "f_alpha": 0.9,
    }
    assert np.all(compare_fires(monkeypatch, "LJ-7", (10, 200), parameters) < 1e-10)


@pytest.mark.parametrize("system", ["LJ-7", "Gupta-Ag4Au3"])
def test_fire_equals_ase(system):
    with jax.enable_x64(True):
        env = environment(system, True)
        evaluate = eqx.filter_jit(env.system.energy_and_gradient)
        positions = start(system, True)

        class Calculation(Calculator):
            implemented_properties = ["energy", "forces"]  # noqa: RUF012

            def calculate(
                self, atoms=None, properties=None, system_changes=all_changes
            ):
                super().calculate(atoms, properties, system_changes)
                assert atoms is not None
                energy, gradient = evaluate(jnp.asarray(atoms.positions))
                self.results = {
                    "energy": float(energy),
                    "forces": -np.asarray(gradient),
                }

        atoms = Atoms(
            f"X{len(positions)}", np.asarray(positions), calculator=Calculation()
        )
        reference = FIRE(atoms, logfile=None)  # pyright: ignore[reportArgumentType]
        optimizer = FireAse()

        step = jax.jit(functools.partial(take_step, env, optimizer))
        state = env.reset(jax.random.key(0), positions)
        opt_state = optimizer.init(
            positions, key=jax.random.key(0), context=env.context
        )
        for _ in range(150):
            reference.step()
            state, opt_state = step(state, opt_state)
            np.testing.assert_allclose(
                state.positions, atoms.positions, rtol=0, atol=1e-10
            )


def test_fire_that_blows_up_stays_finite():
    env = environment("LJ-7")
    result = hopgym.rollout(
        env, Fire(dt_start=1e3, dt_max=1e6), jax.random.key(0), 4, 300
    )
    assert finite(result.state)
    assert np.all(result.state.faults == 0)
