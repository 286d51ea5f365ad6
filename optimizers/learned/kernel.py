"""Calls the C++ kernel of the learned optimizer's step (native/learned_step.inl)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from hopgym import native
from hopgym.cell import Cell
from hopgym.context import Context
from hopgym.optimizers.learned import input_scaling, radial


def step(
    model: Any,
    constants: dict[str, native.Attribute],
    gradient: Array,
    averages: tuple[Array, Array],
    count: Array,
    positions: Array,
    context: Context,
) -> tuple[Array, Array, Array]:
    """Displacement, and the next moving averages.

    **Arguments:**

    - `model`: a [`hopgym.optimizers.Learn2Hop`][].
    - `constants`: constants of its inputs, by their names in the kernel.
    - `averages`, `count`: moving averages and step of its state.
    - `gradient`, `positions`, `context`: as in its `update`; without a
      [`hopgym.cell.Cell`][].
    """
    assert not isinstance(context.box, Cell)
    dtype = positions.dtype
    network = model.network
    hidden = network.bias.shape[0]
    inner = [weights for weights, _ in network.inner]
    inner_bias = [bias for _, bias in network.inner]
    none = jnp.zeros((0, hidden, hidden), dtype)
    first, second = averages
    like = {"displacement": positions, "next_first": first, "next_second": second}
    found = native.call(
        "learned_step",
        {name: jax.ShapeDtypeStruct(x.shape, dtype) for name, x in like.items()},
        operands={
            "gradient": gradient,
            "positions": positions,
            "first": first,
            "second": second,
            "step": count,
            "species": context.species,
            "box": jnp.zeros(3, dtype) if context.box is None else context.box,
            "length": context.length,
            "energy_unit": context.energy_unit,
            "log_alpha": model.log_alpha,
            "beta": model.beta,
            "gamma": model.gamma,
            "component_weights": network.component,
            "atom_weights": network.atom,
            "step_weights": network.step,
            "bias": network.bias,
            "inner_weights": jnp.stack(inner) if inner else none,
            "inner_bias": jnp.stack(inner_bias) if inner else none[:, 0],
            "output_weights": network.output,
            "output_bias": network.output_bias,
        },
        attributes={
            **constants,
            **radial.kernel_constants(dtype, model.kinds, context),
            "hidden": hidden,
            "inner_layers": len(inner),
            "components": first.shape[-1],
            "log2": input_scaling.LOG2.coef,
            "log_scale": input_scaling.P,
        },
    )
    return found["displacement"], found["next_first"], found["next_second"]
