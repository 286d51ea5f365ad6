"""Steps of the learned optimizer by several implementations.

A step consists of an evaluation, the inputs, the network and the displacement. All
replicas have the same weights. `naive` is a literal implementation of the definition,
with the energy of jax-md. For comparisons all implementations get the same forces:
inputs are logarithms, and small components of a force have few correct digits in single
precision, which differ between implementations.
"""

from __future__ import annotations

from collections.abc import Callable

import jax

from benchmarks.timing import reference_step
from benchmarks.timing.implementations import Programs
from hopgym import Environment, System
from hopgym.environment import take_step
from hopgym.optimizers import Learn2Hop

OUTPUT_SCALE = 0.03  # of the output weights: small, so that structures hardly change


def make_programs(
    name: str, system: System, forces: Callable, reference: Callable
) -> Programs:
    """Make programs of learned steps.

    **Arguments:**

    - `name`: `naive`, or a backend of hopgym.
    - `system`: the system.
    - `forces`: `positions -> (energy, gradient)`, used in comparisons.
    - `reference`: the same, used in the timing of `naive`.
    """
    environment = Environment(system)
    context = environment.context
    model = make_network()
    key = jax.random.key(0)

    def init_optimizer(positions):
        if name == "naive":
            return reference_step.init(positions)
        return model.init(positions, key=key, context=context)

    def step(carry, evaluate):
        positions, opt_state = carry
        value, gradient = evaluate(positions)
        if name == "naive":
            moved, opt_state = reference_step.update(
                model, gradient, opt_state, positions, context
            )
        else:
            moved, opt_state = model.update(
                gradient, opt_state, positions, value=value, context=context
            )
        return positions + moved, opt_state

    def repeat(begin, step, last):
        @jax.jit
        def take_steps(positions, steps):
            carry, _ = jax.lax.fori_loop(
                0, steps, lambda _, c: jax.vmap(step)(c), jax.vmap(begin)(positions)
            )
            return last(carry)

        return take_steps

    def start(positions):
        return positions, init_optimizer(positions)

    walk = repeat(start, lambda carry: step(carry, forces), lambda last: last)

    def first(positions):
        return walk(positions, 1) - positions

    if name == "naive":
        run = repeat(start, lambda carry: step(carry, reference), lambda last: last)
    else:
        run = repeat(
            lambda positions: (
                environment.reset(key, positions),
                init_optimizer(positions),
            ),
            lambda carry: take_step(environment, model, *carry),
            lambda state: state.positions,
        )
    return Programs(first, run, walk)


def make_network() -> Learn2Hop:
    """Make a network that ignores species, with small random outputs."""
    key = jax.random.key(0)
    model = Learn2Hop(key, kinds=1)
    network = model.network
    output = OUTPUT_SCALE * jax.random.normal(key, network.output.shape)
    return jax.tree.map(lambda x: output if x is network.output else x, model)
