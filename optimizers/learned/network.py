"""The perceptron that acts on every component: weights by group of inputs."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

OUTPUTS = 2


class Network(eqx.Module):
    """Weights of a perceptron whose first layer is split by what its inputs belong to.

    Inputs of one component, of one atom and of the whole step have their own weights,
    so that each is multiplied once for each component, atom or step.

    **Arguments:**

    - `component`, `atom`, `step`: numbers of inputs of each kind.
    - `hidden`: width of the hidden layers.
    - `depth`: number of dense layers, the output layer included.
    - `key`: weights are LeCun normal (Learn2Hop, D.3), the output layer is zero.
    """

    component: Float[Array, "of_component hidden"]
    atom: Float[Array, "of_atom hidden"]
    step: Float[Array, "of_step hidden"]
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
        first = _lecun(first_key, inputs, hidden)
        self.component = first[:component]
        self.atom = first[component : component + atom]
        self.step = first[component + atom :]
        self.bias = jnp.zeros(hidden)
        self.inner = tuple(
            (_lecun(inner_key, hidden, hidden), jnp.zeros(hidden))
            for inner_key in inner_keys[1:]
        )
        self.output = jnp.zeros((hidden, OUTPUTS))
        self.output_bias = jnp.zeros(OUTPUTS)

    def __call__(
        self,
        component: Float[Array, "of_component components"],
        atom: Float[Array, "atoms of_atom"],
        step: Float[Array, " of_step"],
    ) -> Float[Array, "outputs components"]:
        """The outputs for every component.

        **Arguments:**

        - `component`: inputs of each component: first all x, then all y and z, then
          any number of components that fill up.
        - `atom`: inputs of each atom.
        - `step`: inputs that all components share.
        """
        shared = self.bias + _product(step, self.step)
        of_atoms = (_product(atom, self.atom) + shared).T
        filling = component.shape[1] - 3 * atom.shape[0]
        of_atoms = jnp.pad(jnp.tile(of_atoms, (1, 3)), ((0, 0), (0, filling)))
        values = jax.nn.relu(_product(self.component.T, component) + of_atoms)
        for weights, bias in self.inner:
            values = jax.nn.relu(_product(weights.T, values) + bias[:, None])
        return _product(self.output.T, values) + self.output_bias[:, None]


def _lecun(key: PRNGKeyArray, inputs: int, outputs: int) -> Array:
    return jax.random.normal(key, (inputs, outputs)) / math.sqrt(max(inputs, 1))


def _product(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
