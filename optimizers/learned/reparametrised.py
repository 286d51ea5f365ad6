"""Classical optimizers with learned hyper-parameters.

L. Metz, N. Maheswaranathan, J. Shlens, J. Sohl-Dickstein and E. D. Cubuk,
arXiv:1906.03367 (Adam4p); Learn2Hop, appendices C.1 and C.2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from hopgym._converters import to_float
from hopgym.context import Context
from hopgym.optimizers.base import AbstractOptimizer
from hopgym.optimizers.basin_hopping import bh_paper
from hopgym.optimizers.fire import Fire
from hopgym.optimizers.optax_wrapper import adam


class Reparametrised(AbstractOptimizer[Any]):
    """An optimizer as a function of unconstrained numbers, which can be learned.

    **Arguments:**

    - `make`: returns the optimizer for a dictionary of unconstrained numbers.
    - `raw`: the unconstrained numbers.
    """

    make: Callable[[dict[str, Array]], AbstractOptimizer] = eqx.field(static=True)
    raw: dict[str, Float[Array, ""]]

    @property
    def optimizer(self) -> AbstractOptimizer:
        """The optimizer with its current hyper-parameters."""
        return self.make(self.raw)

    def init(
        self, positions: Float[Array, "atoms 3"], *, key: PRNGKeyArray, context: Context
    ) -> Any:
        return self.optimizer.init(positions, key=key, context=context)

    def update(
        self,
        gradient: Float[Array, "atoms 3"],
        state: Any,
        positions: Float[Array, "atoms 3"],
        *,
        value: Float[Array, ""],
        context: Context,
    ) -> tuple[Float[Array, "atoms 3"], Any]:
        return self.optimizer.update(
            gradient, state, positions, value=value, context=context
        )


def adam4p(
    key: PRNGKeyArray | None = None, learning_rate: float = 1e-2
) -> Reparametrised:
    """Adam with four learned numbers: log of learning_rate, 1 - b1, 1 - b2 and eps.

    **Arguments:**

    - `key`: unused; present in all architectures.
    - `learning_rate`: initial value, in the system's own unit.
    """
    start = {"learning_rate": learning_rate, "b1": 0.1, "b2": 1e-3, "eps": 1e-8}
    return Reparametrised(_adam, {k: to_float(jnp.log(v)) for k, v in start.items()})


def _adam(raw: dict[str, Array]) -> AbstractOptimizer:
    values = {name: jnp.exp(value) for name, value in raw.items()}
    return adam(
        values["learning_rate"],
        b1=jnp.maximum(1 - values["b1"], 0),
        b2=jnp.maximum(1 - values["b2"], 0),
        eps=values["eps"],
    )


def fire6p(key: PRNGKeyArray | None = None, time_step: float = 1e-2) -> Reparametrised:
    """FIRE with six learned numbers.

    They are the logarithms of dt_start, dt_max, f_inc - 1, 1 - f_dec, alpha_start and
    1 - f_alpha.

    **Arguments:**

    - `key`: unused; present in all architectures.
    - `time_step`: initial value of dt_start, and of dt_max / 8.
    """
    start = {"dt_start": time_step, "dt_max": 8 * time_step, "f_inc": 0.1}
    start |= {"f_dec": 0.5, "alpha_start": 0.1, "f_alpha": 0.01}
    return Reparametrised(_fire, {k: to_float(jnp.log(v)) for k, v in start.items()})


def _fire(raw: dict[str, Array]) -> AbstractOptimizer:
    values = {name: jnp.exp(value) for name, value in raw.items()}
    return Fire(
        dt_start=values["dt_start"],
        dt_max=values["dt_max"],
        f_inc=1 + values["f_inc"],
        f_dec=jnp.maximum(1 - values["f_dec"], 0),
        alpha_start=jnp.minimum(values["alpha_start"], 1),
        f_alpha=jnp.maximum(1 - values["f_alpha"], 0),
    )


def bh_step(key: PRNGKeyArray | None = None, step: float = 0.4) -> Reparametrised:
    """The paper's basin hopping with one learned number: log of the size of its hops.

    **Arguments:**

    - `key`: unused; present in all architectures.
    - `step`: initial standard deviation of the hops, in the potential's own unit of
      length.
    """
    return Reparametrised(_bh, {"step": to_float(jnp.log(step))})


def _bh(raw: dict[str, Array]) -> AbstractOptimizer:
    return bh_paper(std=jnp.exp(raw["step"]))
