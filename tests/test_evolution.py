"""Evolution strategies: problems for evosax, optimizers of the zoo, the examples."""

import re
import runpy
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from evosax.algorithms import CMA_ES

import hopgym
from hopgym.evolution import ClusterProblem, OptimizerProblem
from hopgym.meta import meta_loss
from hopgym.optimizers import Evolution, adam4p, cma_es, make_optimizer, open_es

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_energies_of_a_population_are_counted():
    problem = ClusterProblem("LJ-3")
    key = jax.random.key(0)
    state = problem.init(key)
    population = jnp.stack([problem.sample(jax.random.key(k)) for k in range(4)])
    fitness, state, _ = problem.eval(key, population, state)
    _, state, metrics = problem.eval(key, population[:2], state)
    expected = [problem.system.energy_and_gradient(x)[0] for x in population]
    np.testing.assert_allclose(fitness, expected, rtol=1e-6)
    assert (int(state.counter), int(state.evaluations)) == (2, 6)
    assert metrics["hits"] == 0 and problem.num_dims == 9


def test_losses_of_weights_are_mean_meta_losses():
    model = adam4p()
    problem = OptimizerProblem(model, ["LJ-3", "LJ-4"], starts=2, unroll=30)
    key = jax.random.key(3)
    population = jax.tree.map(lambda x: jnp.stack([x, x - 1]), problem.weights)
    losses, state, by_system = problem.eval(key, population, problem.init(key))
    keys = jax.random.split(jax.random.fold_in(key, 1), 2)
    slower = problem.optimizer(jax.tree.map(lambda x: x - 1, problem.weights))
    system = problem.systems[1]
    expected = [meta_loss(slower, system, k, 30, "best") for k in keys]
    np.testing.assert_allclose(by_system["LJ-4"][1], np.mean(expected), rtol=1e-5)
    both = jnp.stack([*by_system.values()])
    np.testing.assert_allclose(losses, both.mean(0), rtol=1e-6)
    assert int(state.evaluations) == 2 * 2 * 2 * 31
    noisy = problem.sample(key)
    assert jax.tree.structure(noisy) == jax.tree.structure(problem.weights)


@pytest.mark.parametrize(
    "arguments, said",
    [
        ({"loss": "worst"}, "one of"),
        ({"starts": 0}, "starts=0"),
        ({"unroll": 0}, "unroll=0"),
        ({"systems": []}, "0 systems"),
    ],
)
def test_problems_that_make_no_sense(arguments, said):
    with pytest.raises(ValueError, match=said):
        OptimizerProblem(**{"optimizer": adam4p(), "systems": ["LJ-3"]} | arguments)


def test_a_name_that_is_unknown():
    with pytest.raises(KeyError, match="unknown system"):
        ClusterProblem("LJ13")


def test_the_zoo_runs_the_strategy_that_evosax_runs():
    """The same generations by the loop of evosax and by evaluations in turn."""
    system = hopgym.get_system("LJ-4")
    environment = hopgym.Environment(system)
    optimizer = cma_es(population=6)
    start = system.sample(jax.random.key(1))
    context = environment.context
    opt_state = optimizer.init(start, key=jax.random.key(2), context=context)
    strategy = optimizer._make_strategy(4)
    params = strategy.default_params.replace(std_init=optimizer.spread)
    _, told, population = opt_state.key, opt_state.strategy, opt_state.population

    update = jax.jit(lambda *of, **more: optimizer.update(*of, **more))
    seen, where = [], start
    for _ in range(7):
        energy, gradient = system.energy_and_gradient(where)
        seen.append((where, energy))
        moved, opt_state = update(
            gradient, opt_state, where, value=energy, context=context
        )
        where = where + moved
    # The start, then the first generation; the next one has begun.
    np.testing.assert_allclose(
        [x for x, _ in seen[1:]], start + system.length * population, atol=1e-5
    )
    fitness = jnp.stack([e for _, e in seen[1:]])
    expected, _ = strategy.tell(jax.random.key(0), population, fitness, told, params)
    np.testing.assert_allclose(opt_state.strategy.mean, expected.mean, rtol=1e-4)
    np.testing.assert_allclose(opt_state.strategy.std, expected.std, rtol=1e-4)
    assert int(opt_state.strategy.generation_counter) == 1 and int(opt_state.asked) == 1


@pytest.mark.parametrize("name", ["cma-es", "open-es", "de"])
def test_strategies_find_three_atoms(name):
    system = hopgym.get_system("LJ-3")
    optimizer = make_optimizer(name, system=system, steps=4000)
    environment = hopgym.Environment(system)
    result = hopgym.rollout(environment, optimizer, jax.random.key(0), 4, 4000)
    assert np.all(result.state.evaluations == 4001)
    assert np.all(result.state.best_energy < -2.9)


@pytest.mark.parametrize(
    "population, message", [(2, "an integer from 4"), (7, "must be even")]
)
def test_populations_that_make_no_sense(population, message):
    for make in (open_es, lambda population: Evolution(CMA_ES, population)):
        with pytest.raises(ValueError, match=message):
            make(population=population)


@pytest.mark.parametrize(
    "command, shown",
    [
        ("evolution_positions.py LJ-3 640", "DE .* 640 evaluations"),
        ("evolution_weights.py 2", "generation   1"),
        ("optax_and_optimistix.py 100", "in Optimistix .* evaluations"),
    ],
)
def test_examples(command, shown, monkeypatch, capsys):
    name, *arguments = command.split()
    if name.startswith("optax"):
        pytest.importorskip("optimistix")
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert re.search(shown, capsys.readouterr().out)
