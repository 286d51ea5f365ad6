"""What an optimizer is: Optax's protocol, with a key and a context."""

from __future__ import annotations

import abc
from typing import Generic, TypeVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from hopgym.context import Context

OptState = TypeVar("OptState")


class AbstractOptimizer(eqx.Module, Generic[OptState]):
    """An optimizer that acts as a policy: one evaluation in, one displacement out.

    `update` is called once for each energy+gradient evaluation and has no other way
    to the potential. Line searches, quenches, acceptance and restarts are states
    between calls. Methods take one replica; `jax.vmap` gives batches in which each
    replica is at its own stage. Hyper-parameters are array leaves, so that they can
    be batched and learned; what shapes depend on is static.
    """

    @abc.abstractmethod
    def init(
        self,
        positions: Float[Array, "atoms 3"],
        *,
        key: PRNGKeyArray,
        context: Context,
    ) -> OptState:
        """State before the first update.

        **Arguments:**

        - `positions`: the start.
        - `key`: the only source of randomness; one for each replica.
        - `context`: see [`hopgym.Context`][].
        """

    @abc.abstractmethod
    def update(
        self,
        gradient: Float[Array, "atoms 3"],
        state: OptState,
        positions: Float[Array, "atoms 3"],
        *,
        value: Float[Array, ""],
        context: Context,
    ) -> tuple[Float[Array, "atoms 3"], OptState]:
        """Displacement to add to `positions`, and the next state.

        **Arguments:**

        - `gradient`, `value`: gradient and energy at `positions`.
        - `state`: from `init` or the last `update`.
        - `positions`: where the last displacement led.
        - `context`: the same as in `init`.
        """


class AbstractLocalOptimizer(AbstractOptimizer[OptState]):
    """An optimizer that descends into one minimum and knows when it is there.

    Searches that quench (basin hopping, random restarts) are made of one of these.
    """

    @abc.abstractmethod
    def finished(self, state: OptState) -> Bool[Array, ""]:
        """Whether the positions given to the last `update` are the minimum."""

    @abc.abstractmethod
    def restart(self, state: OptState, when: Bool[Array, ""]) -> OptState:
        """`state`, or where `when` one that begins anew at the next `update`."""


def real(value) -> Float[Array, "..."]:
    """A hyper-parameter as an array of the default precision."""
    return jnp.asarray(value, float)
