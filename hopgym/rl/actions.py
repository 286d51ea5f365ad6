"""Actions: how an agent's displacement changes the state."""

from __future__ import annotations

import abc
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from hopgym._checks import check_integer
from hopgym.environment import Environment, State
from hopgym.optimizers.lbfgs import LBFGS
from hopgym.relax import descend
from hopgym.rl._checks import MAX_EVALUATIONS


class AbstractAction(eqx.Module):
    """The effect of an agent's displacement on the state.

    To add one, write a final class and add it to `ACTIONS`.
    """

    @property
    @abc.abstractmethod
    def default_displacement(self) -> float:
        """Default of `max_displacement`, in units of the system's length."""

    @abc.abstractmethod
    def start(self, environment: Environment, state: State) -> State:
        """First state of an episode.

        **Arguments:**

        - `environment`: a [`hopgym.Environment`][].
        - `state`: the state that its `reset` returned.
        """

    @abc.abstractmethod
    def apply(
        self, environment: Environment, state: State, update: Float[Array, "atoms 3"]
    ) -> State:
        """State after one step.

        **Arguments:**

        - `environment`: a [`hopgym.Environment`][].
        - `state`: the state before the step.
        - `update`: displacement in the potential's unit of length; components may be
          non-finite, see [`hopgym.Environment.step`][].
        """


class StepAction(AbstractAction):
    """One update of the positions, as in the paper; a step costs one evaluation."""

    @property
    def default_displacement(self) -> float:
        return 0.1

    def start(self, environment: Environment, state: State) -> State:
        return state

    def apply(
        self, environment: Environment, state: State, update: Float[Array, "atoms 3"]
    ) -> State:
        return environment.step(state, update)


class HopAction(AbstractAction):
    """A displacement followed by an L-BFGS quench: one move of basin hopping.

    The start is quenched as well, so the states of an episode are local minima, and
    an agent only has to learn where to hop. A step costs tens to hundreds of
    evaluations, which are all counted. In a batch (`jax.vmap`), a step takes as long as
    its longest quench.

    **Arguments:**

    - `quench_steps`: maximum number of evaluations per hop.

    **Raises:** `ValueError` if `quench_steps` is not an integer of at least 1.
    """

    optimizer: LBFGS
    quench_steps: Int[Array, ""]

    def __init__(self, quench_steps: int):
        quench_steps = check_integer("quench_steps", quench_steps, 1, MAX_EVALUATIONS)
        self.optimizer = LBFGS()
        self.quench_steps = jnp.asarray(quench_steps, jnp.int32)

    @property
    def default_displacement(self) -> float:
        return 0.4

    def start(self, environment: Environment, state: State) -> State:
        return self._quench(environment, state, self.quench_steps)

    def apply(
        self, environment: Environment, state: State, update: Float[Array, "atoms 3"]
    ) -> State:
        moved = environment.step(state, update)
        return self._quench(environment, moved, state.evaluations + self.quench_steps)

    def _quench(
        self, environment: Environment, state: State, evaluations: Int[Array, ""]
    ) -> State:
        """Quench, at most until `state.evaluations` reaches `evaluations`."""
        quenched, _ = descend(environment, self.optimizer, state, evaluations)
        return eqx.tree_at(lambda state: state.step, quenched, state.step)


ACTIONS: dict[str, Callable[[int], AbstractAction]] = {
    "step": lambda quench_steps: StepAction(),
    "hop": HopAction,
}
"""Constructors of the actions by name, called with `quench_steps`."""
