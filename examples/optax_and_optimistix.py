"""An optimizer of hopgym in Optax and in Optimistix, and one of Optax in hopgym.

pip install "hopgym[optimistix]"
python examples/optax_and_optimistix.py [STEPS]
"""

import sys

import jax
import optax
import optimistix

import hopgym
from hopgym.optimizers import OptaxOptimizer, as_optax, make_optimizer
from hopgym.optimizers.optimistix_minimiser import Minimiser


def main(steps: int = 2000) -> None:
    """Minimise the energy of 13 atoms in three ways."""
    system = hopgym.get_system("LJ-13")
    environment = hopgym.Environment(system)
    context, key = environment.context, jax.random.key(0)
    start = system.sample(jax.random.key(1))

    search = make_optimizer("bh-lbfgs", system=system, steps=steps)
    ours = as_optax(search, context, key)

    def step(carry, _):
        positions, state = carry
        energy, gradient = system.energy_and_gradient(positions)
        update, state = ours.update(gradient, state, positions, value=energy)
        return (optax.apply_updates(positions, update), state), energy

    loop = jax.jit(lambda x: jax.lax.scan(step, (x, ours.init(x)), length=steps)[1])
    print(f"bh-lbfgs in Optax's loop   {loop(start).min():9.4f}")

    found = optimistix.minimise(
        lambda x, _: system.energy_and_gradient(x)[0],
        Minimiser(search, context, key),
        start,
        max_steps=steps,
        throw=False,
    )
    energy, count = found.stats["energy"], found.stats["evaluations"]
    print(f"bh-lbfgs in Optimistix     {energy:9.4f}  ({count} evaluations)")

    lion = OptaxOptimizer(optax.lion, learning_rate=1e-3)
    result = hopgym.rollout(environment, lion, key, start[None], steps)
    print(f"optax.lion in a rollout    {result.state.best_energy[0]:9.4f}")


if __name__ == "__main__":
    main(*(int(number) for number in sys.argv[1:2]))
