"""Steps of the learned optimizer, for the benchmark of speed.

A step is an evaluation, the inputs, the network and the displacement. All replicas have
the same weights. `naive` is the definition as it reads, with jax-md's energy. It is
compared with the same forces: inputs are logarithms, and of a small component of a
force single precision leaves few digits, other ones in each code.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import naive

from hopgym import Environment
from hopgym.environment import follow
from hopgym.optimizers import Learn2Hop

SMALL = 0.03  # weights of the output, so that structures stay what they are


def programs(name: str, system, reference: Callable) -> dict[str, Callable]:
    """`first`, `walk` and `run` of a contender.

    **Arguments:**

    - `name`: `naive`, or how this package computes.
    - `reference`: `positions -> energy, gradient` for `naive`.
    """
    environment = Environment(system)
    context = environment.context
    model = network()

    def begin(positions):
        if name == "naive":
            return positions, naive.init(positions)
        key = jax.random.key(0)
        state = environment.reset(key, positions)
        return state, model.init(positions, key=key, context=context)

    def step(carry, evaluate):
        if name == "naive":
            positions, memory = carry
            _, gradient = evaluate(positions)
            moved, memory = naive.update(model, gradient, memory, positions, context)
            return positions + moved, memory
        return follow(environment, model, *carry)

    def steps_with(evaluate):
        @jax.jit
        def steps_of(positions, steps):
            last, _ = jax.lax.fori_loop(
                0,
                steps,
                lambda _, carry: jax.vmap(lambda c: step(c, evaluate))(carry),
                jax.vmap(begin)(positions),
            )
            return last if name == "naive" else last.positions

        return steps_of

    own = system.energy_and_gradient
    walk = steps_with(own)

    def first(positions):
        return walk(positions, 1) - positions

    run = steps_with(reference) if name == "naive" else walk
    return {"first": first, "run": run, "walk": walk}


def network() -> Learn2Hop:
    """A network that takes all species for one, with small random outputs."""
    key = jax.random.key(0)
    model = Learn2Hop(key, kinds=1)
    network = model.network
    output = SMALL * jax.random.normal(key, network.output.shape)
    return jax.tree.map(lambda x: output if x is network.output else x, model)
