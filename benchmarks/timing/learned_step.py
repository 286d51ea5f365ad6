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
from hopgym.environment import take_step
from hopgym.optimizers import Learn2Hop

SMALL = 0.03  # weights of the output, so that structures stay what they are


def programs(
    name: str, system, forces: Callable, reference: Callable
) -> dict[str, Callable]:
    """`first`, `walk` and `run` of a contender.

    **Arguments:**

    - `name`: `naive`, or how this package computes.
    - `forces`: `positions -> energy, gradient`, with which contenders are compared.
    - `reference`: the same, with which `naive` is timed.
    """
    environment = Environment(system)
    context = environment.context
    model = network()
    key = jax.random.key(0)

    def memory_at(positions):
        if name == "naive":
            return naive.init(positions)
        return model.init(positions, key=key, context=context)

    def step(carry, evaluate):
        positions, opt_state = carry
        value, gradient = evaluate(positions)
        if name == "naive":
            moved, opt_state = naive.update(
                model, gradient, opt_state, positions, context
            )
        else:
            moved, opt_state = model.update(
                gradient, opt_state, positions, value=value, context=context
            )
        return positions + moved, opt_state

    def repeated(begin, step, last):
        @jax.jit
        def steps_of(positions, steps):
            carry, _ = jax.lax.fori_loop(
                0, steps, lambda _, c: jax.vmap(step)(c), jax.vmap(begin)(positions)
            )
            return last(carry)

        return steps_of

    def start(positions):
        return positions, memory_at(positions)

    walk = repeated(start, lambda carry: step(carry, forces), lambda last: last)

    def first(positions):
        return walk(positions, 1) - positions

    if name == "naive":
        run = repeated(start, lambda carry: step(carry, reference), lambda last: last)
    else:
        run = repeated(
            lambda positions: (
                environment.reset(key, positions),
                memory_at(positions),
            ),
            lambda carry: take_step(environment, model, *carry),
            lambda state: state.positions,
        )
    return {"first": first, "run": run, "walk": walk}


def network() -> Learn2Hop:
    """A network that takes all species for one, with small random outputs."""
    key = jax.random.key(0)
    model = Learn2Hop(key, kinds=1)
    network = model.network
    output = SMALL * jax.random.normal(key, network.output.shape)
    return jax.tree.map(lambda x: output if x is network.output else x, model)
