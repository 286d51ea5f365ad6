"""The interface of strategies, which improve weights by the losses of runs."""

from __future__ import annotations

import abc
import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

Weights = PyTree[Array]
Losses = Float[np.ndarray | Array, " runs"]


def setting(default: int | float, description: str) -> Any:
    """Make a field of settings, with a description for the command line."""
    return dataclasses.field(default=default, metadata={"description": description})


@dataclass(frozen=True)
class AbstractSettings:
    """Meta-hyper-parameters of a strategy.

    Every strategy has its own class, a frozen dataclass of positive numbers with
    defaults; the command line has an option for each number.

    **Raises:** `ValueError` for integers below 1 and numbers that are not positive.
    """

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, int):
                if value < 1:
                    raise ValueError(f"{field.name} must be at least 1, got {value}")
            elif not value > 0:
                raise ValueError(f"{field.name} must be positive, got {value}")


class AbstractStrategy(abc.ABC):
    """A method that improves weights by the losses of runs.

    To add a strategy, write one file and add a line to `STRATEGIES`. In each update the
    instances (random starts) are divided evenly among the systems, in order.

    **Arguments:**

    - `weights`: initial weights.
    - `settings`: an instance of `settings_class`.
    - `systems`: number of systems.

    **Attributes:**

    - `settings_class`: class of its meta-hyper-parameters.
    - `instances`: number of different starts per update.
    - `start_indices`: index of the start of each run of an update.
    - `truncation`: number of steps per update, if runs continue in the next update;
      `None` if every update has new runs.
    """

    settings_class: ClassVar[type[AbstractSettings]]
    instances: int
    start_indices: np.ndarray
    truncation: int | None = None

    @abc.abstractmethod
    def __init__(self, weights: Weights, settings: Any, systems: int): ...

    @abc.abstractmethod
    def init(self, key: PRNGKeyArray) -> PyTree[Array]:
        """Initial state, a pytree of arrays."""

    @abc.abstractmethod
    def ask(self, key: PRNGKeyArray, state: Any) -> tuple[Weights, Any]:
        """Weights of all runs of an update, with a leading axis, and the next state."""

    @abc.abstractmethod
    def tell(
        self, key: PRNGKeyArray, state: Any, candidates: Weights, losses: Losses
    ) -> Any:
        """State after an update.

        **Arguments:**

        - `key`: random key of this update.
        - `state`, `candidates`: as returned by `ask`.
        - `losses`: losses of the runs.
        """

    @abc.abstractmethod
    def get_weights(self, state: Any) -> Weights:
        """The current weights."""


def replace_nonfinite(losses: Float[Array, " runs"]) -> Float[Array, " runs"]:
    """Replace NaN and infinities by the largest finite loss, or by 0 if none is."""
    finite = jnp.isfinite(losses)
    worst = jnp.max(losses, where=finite, initial=-jnp.inf)
    return jnp.where(finite, losses, jnp.where(jnp.isfinite(worst), worst, 0))


def repeat(tree: Weights, times: int) -> Weights:
    """Repeat every array `times` times along a new leading axis."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (times, *x.shape)), tree)
