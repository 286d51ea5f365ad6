"""A step of the learned optimizer by the kernel in C++ (native/learned_step.inl)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from hopgym import native
from hopgym.context import Context
from hopgym.optimizers.learned import input_scaling, radial


def step(
    model: Any,
    constants: dict[str, Any],
    gradient: Array,
    averages: tuple[Array, Array],
    count: Array,
    positions: Array,
    context: Context,
) -> tuple[Array, Array, Array]:
    """Displacement and new averages.

    **Arguments:**

    - `model`: a [`hopgym.optimizers.Learn2Hop`][].
    - `constants`: constants of its inputs, by their names in the kernel.
    - `averages`, `count`: from its state.
    - `gradient`, `positions`, `context`: as in its `update`.
    """
    dtype = positions.dtype
    network = model.network
    hidden = network.bias.shape[0]
    inner = [weights for weights, _ in network.inner]
    inner_bias = [bias for _, bias in network.inner]
    none = jnp.zeros((0, hidden, hidden), dtype)
    box = jnp.zeros(3, dtype) if context.box is None else context.box
    results = [jax.ShapeDtypeStruct(x.shape, dtype) for x in (positions, *averages)]
    cutoff, table = radial.fit_polynomials(dtype)
    moved, first, second = native.call(
        "learned_step",
        results,
        gradient,
        positions,
        *averages,
        count,
        context.species,
        box,
        context.length,
        context.energy_unit,
        model.log_alpha,
        model.beta,
        model.gamma,
        network.component,
        network.atom,
        network.step,
        network.bias,
        jnp.stack(inner) if inner else none,
        jnp.stack(inner_bias) if inner else none[:, 0],
        network.output,
        network.output_bias,
        periodic=np.int64(context.box is not None),
        cutoff=cutoff,
        table=table.ravel(),
        log2=input_scaling.LOG2.coef,
        **constants,
    )
    return moved, first, second
