"""The interface of optimizers: Optax's, with a random key and a context."""

from __future__ import annotations

import abc
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import equinox as eqx
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from hopgym.context import Context, SystemInfo

OptState = TypeVar("OptState")


class AbstractOptimizer(eqx.Module, Generic[OptState]):
    """A policy that maps one energy and gradient to one displacement.

    `update` is called once per energy+gradient evaluation and has no other access to
    the potential. Line searches, quenches, acceptance steps and restarts are state
    machines that span many calls. Methods take one replica; under `jax.vmap` each
    replica is at its own stage. Hyper-parameters are array leaves, so that they can be
    batched and learned; those that determine shapes are static.
    """

    def for_system(self, system: SystemInfo) -> AbstractOptimizer[Any]:
        """The optimizer of a system: this one, unless it depends on the system."""
        return self

    @abc.abstractmethod
    def init(
        self,
        positions: Float[Array, "atoms 3"],
        *,
        key: PRNGKeyArray,
        context: Context,
    ) -> OptState:
        """Initial state.

        **Arguments:**

        - `positions`: initial positions.
        - `key`: random key, a different one for each replica; the only source of
          randomness.
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
        - `state`: the state returned by `init` or by the last `update`.
        - `positions`: current positions, after the last displacement.
        - `context`: the same as in `init`.
        """


class AbstractLocalOptimizer(AbstractOptimizer[OptState]):
    """An optimizer that converges to a local minimum and detects convergence.

    Searches use one for their quenches (basin hopping, random restarts).
    """

    @abc.abstractmethod
    def finished(self, state: OptState) -> Bool[Array, ""]:
        """Whether the last `update` was called at the minimum."""

    @abc.abstractmethod
    def restart(self, state: OptState, when: Bool[Array, ""]) -> OptState:
        """Restart where `when` holds: return a fresh state there, else `state`."""


@runtime_checkable
class HasForceTolerance(Protocol):
    """A local optimizer that states below which forces it has converged.

    [`hopgym.quench`][] judges its structures by it. Implemented by
    [`hopgym.optimizers.LBFGS`][] and [`hopgym.optimizers.TwoPhase`][].
    """

    # Arrays are typed as `Any`: see `hopgym.context.SystemInfo`.

    @property
    def force_tolerance(self) -> Any:
        """`Float[Array, ""]`, largest force on an atom, in units of energy / length."""
        ...


def adapt(optimizer: Any, system: SystemInfo) -> Any:
    """What `for_system` returns; an optimizer without that method as it is."""
    for_system = getattr(optimizer, "for_system", None)
    return optimizer if for_system is None else for_system(system)
