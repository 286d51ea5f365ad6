"""The perceptron that learned optimizers apply to every component."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from hopgym._unrolled_random import unroll

OUTPUTS = 2
MAX_HIDDEN, MAX_DEPTH = 4096, 64


class Network(eqx.Module):
    """A perceptron whose first layer is split into inputs per component, atom and step.

    Inputs shared by all components of an atom, or by all components, are multiplied by
    their weights only once. Weights are LeCun normal (Learn2Hop, D.3); those of the
    output layer are zero.

    **Arguments:**

    - `component`, `atom`, `step`: numbers of inputs per component, atom and step.
    - `hidden`: width of the hidden layers.
    - `depth`: number of dense layers, including the output layer.
    - `key`: random key of the weights.
    """

    component: Float[Array, "component_inputs hidden"]
    atom: Float[Array, "atom_inputs hidden"]
    step: Float[Array, "step_inputs hidden"]
    bias: Float[Array, " hidden"]
    inner: tuple[tuple[Float[Array, "hidden hidden"], Float[Array, " hidden"]], ...]
    output: Float[Array, "hidden outputs"]
    output_bias: Float[Array, " outputs"]

    def __init__(
        self,
        component: int,
        atom: int,
        step: int,
        *,
        hidden: int,
        depth: int,
        key: PRNGKeyArray,
    ):
        first_key, *inner_keys = jax.random.split(key, depth)
        inputs = component + atom + step
        first = _draw_lecun(first_key, inputs, hidden)
        self.component = first[:component]
        self.atom = first[component : component + atom]
        self.step = first[component + atom :]
        self.bias = jnp.zeros(hidden)
        self.inner = tuple(
            (_draw_lecun(inner_key, hidden, hidden), jnp.zeros(hidden))
            for inner_key in inner_keys[1:]
        )
        self.output = jnp.zeros((hidden, OUTPUTS))
        self.output_bias = jnp.zeros(OUTPUTS)

    def __call__(
        self,
        component: Float[Array, "component_inputs components"],
        atom: Float[Array, "atoms atom_inputs"],
        step: Float[Array, " step_inputs"],
    ) -> Float[Array, "outputs components"]:
        """Outputs for every component.

        **Arguments:**

        - `component`: inputs of each component: x of all atoms, then y, then z, then
          padding.
        - `atom`: inputs of each atom.
        - `step`: inputs shared by all components.
        """
        shared = self.bias + _matmul(step, self.step)
        per_atom = (_matmul(atom, self.atom) + shared).T
        padding = component.shape[1] - 3 * atom.shape[0]
        per_atom = jnp.pad(jnp.tile(per_atom, (1, 3)), ((0, 0), (0, padding)))
        values = jax.nn.relu(_matmul(self.component.T, component) + per_atom)
        for weights, bias in self.inner:
            values = jax.nn.relu(_matmul(weights.T, values) + bias[:, None])
        return _matmul(self.output.T, values) + self.output_bias[:, None]


def _draw_lecun(key: PRNGKeyArray, inputs: int, outputs: int) -> Array:
    drawn = jax.random.normal(unroll(key), (inputs, outputs))
    return drawn / math.sqrt(max(inputs, 1))


def _matmul(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
