"""Learn the weights of an optimizer with a strategy of evosax.

python examples/evolution_weights.py [GENERATIONS]
"""

import sys

import jax
import optax
from evosax.algorithms import Open_ES

from hopgym.evolution import OptimizerProblem
from hopgym.optimizers import adam4p


def main(generations: int = 20) -> None:
    """Learn four hyper-parameters of Adam on 7 atoms."""
    problem = OptimizerProblem(
        adam4p(learning_rate=1e-4), ["LJ-7"], starts=8, unroll=200, loss="best"
    )
    strategy = Open_ES(
        population_size=16,
        solution=problem.weights,
        optimizer=optax.adam(0.3),
        std_schedule=optax.constant_schedule(0.3),
    )
    params = strategy.default_params
    strategy_state = strategy.init(jax.random.key(0), problem.weights, params)
    state = problem.init(jax.random.key(0))
    for k in range(generations):
        key = jax.random.fold_in(jax.random.key(1), k)
        population, strategy_state = strategy.ask(key, strategy_state, params)
        losses, state, _ = problem.eval(key, population, state)
        strategy_state, _ = strategy.tell(
            key, population, losses, strategy_state, params
        )
        if (k + 1) % 5 == 0 or k == 0:
            learned = problem.optimizer(strategy.get_mean(strategy_state)).raw
            rate = float(jax.numpy.exp(learned["learning_rate"]))
            print(
                f"generation {k + 1:3}: mean loss {losses.mean():.4f}, learning rate "
                f"{rate:.2g}, {int(state.evaluations):,} evaluations"
            )


if __name__ == "__main__":
    main(*(int(number) for number in sys.argv[1:2]))
