"""Evolution strategies of evosax on a cluster, with the same number of evaluations.

python examples/evolution_positions.py [SYSTEM] [EVALUATIONS]
"""

import sys

import jax
import jax.numpy as jnp
import optax
from evosax.algorithms import CMA_ES, DifferentialEvolution, Open_ES

import hopgym
from hopgym.evolution import ClusterProblem

POPULATION = 32


def search(strategy, problem: ClusterProblem, key: jax.Array, generations: int):
    """Run a strategy: returns the lowest energy and the number of evaluations."""
    key, start_key, first_key = jax.random.split(key, 3)
    start, state = problem.sample(start_key), problem.init(start_key)
    params = strategy.default_params
    if isinstance(strategy, DifferentialEvolution):
        noise = 0.5 * jax.random.normal(first_key, (POPULATION, *start.shape))
        fitness, state, _ = problem.eval(first_key, start + noise, state)
        strategy_state = strategy.init(first_key, start + noise, fitness, params)
        generations -= 1
    else:
        if isinstance(strategy, CMA_ES):
            params = params.replace(std_init=jnp.asarray(0.4))
        strategy_state = strategy.init(first_key, start, params)

    def generation(carry, key):
        strategy_state, state = carry
        population, strategy_state = strategy.ask(key, strategy_state, params)
        fitness, state, _ = problem.eval(key, population, state)
        strategy_state, metrics = strategy.tell(
            key, population, fitness, strategy_state, params
        )
        return (strategy_state, state), metrics["best_fitness"]

    keys = jax.random.split(key, generations)
    (_, state), best = jax.jit(jax.lax.scan, static_argnums=0)(
        generation, (strategy_state, state), keys
    )
    return float(best[-1]), int(state.evaluations)


def main(name: str = "LJ-7", evaluations: int | str = 20_000) -> None:
    """Compare three strategies."""
    problem = ClusterProblem(name)
    solution = jnp.zeros((problem.system.atoms, 3))
    adam, width = optax.adam(0.01), optax.constant_schedule(0.05)
    strategies = {
        "CMA-ES": CMA_ES(POPULATION, solution),
        "OpenES": Open_ES(POPULATION, solution, optimizer=adam, std_schedule=width),
        "DE": DifferentialEvolution(POPULATION, solution),
    }
    lowest = float(hopgym.get_system(name).reference)
    print(f"{name}, lowest known energy {lowest:.3f}")
    for title, strategy in strategies.items():
        generations = int(evaluations) // POPULATION
        best, used = search(strategy, problem, jax.random.key(0), generations)
        print(f"{title:8} {best:10.3f}  after {used:,} evaluations")


if __name__ == "__main__":
    main(*sys.argv[1:3])
