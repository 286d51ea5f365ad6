"""The interface of strategies, which choose the weights of runs by their losses."""

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
    """A field of settings, with the description that the command line shows."""
    return dataclasses.field(default=default, metadata={"description": description})


@dataclass(frozen=True)
class AbstractSettings:
    """Meta-hyper-parameters of a strategy.

    Every strategy has its own class, a frozen dataclass of positive numbers with
    defaults; the command line has an option for each of them.

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

    Adding a strategy takes one file and one line in `STRATEGIES`. In each update the
    instances (random starts) are divided evenly among the systems, in order.

    **Arguments:**

    - `weights`: initial weights.
    - `settings`: of the class `settings_class`.
    - `systems`: number of systems.

    **Attributes:**

    - `settings_class`: class of its meta-hyper-parameters.
    - `instances`: number of different starts in an update.
    - `start_indices`: for each run of an update the index of its start.
    - `truncation`: number of steps after which the weights are updated, if runs
      continue in the next update; `None` if every update has new runs.
    """

    settings_class: ClassVar[type[AbstractSettings]]
    instances: int
    start_indices: np.ndarray
    truncation: int | None = None

    @abc.abstractmethod
    def __init__(self, weights: Weights, settings: Any, systems: int): ...

    @abc.abstractmethod
    def init(self, key: PRNGKeyArray) -> PyTree[Array]:
        """Initial state, which consists of arrays only."""

    @abc.abstractmethod
    def ask(self, key: PRNGKeyArray, state: Any) -> tuple[Weights, Any]:
        """The weights of all runs of an update, with a leading axis; a new state."""

    @abc.abstractmethod
    def tell(
        self, key: PRNGKeyArray, state: Any, candidates: Weights, losses: Losses
    ) -> Any:
        """State after an update.

        **Arguments:**

        - `key`: randomness of this update.
        - `state`, `candidates`: as returned by `ask`.
        - `losses`: losses of the runs.
        """

    @abc.abstractmethod
    def get_weights(self, state: Any) -> Weights:
        """The present weights."""


def replace_nonfinite(losses: Float[Array, " runs"]) -> Float[Array, " runs"]:
    """Losses with nan and infinities replaced by the largest finite loss, or 0."""
    finite = jnp.isfinite(losses)
    worst = jnp.max(losses, where=finite, initial=-jnp.inf)
    return jnp.where(finite, losses, jnp.where(jnp.isfinite(worst), worst, 0))


def repeat(tree: Weights, times: int) -> Weights:
    """Every array `times` times along a new leading axis."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (times, *x.shape)), tree)
