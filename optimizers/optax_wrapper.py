"""Optax optimizers as optimizers of hopgym, and vice versa."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import equinox as eqx
import numpy as np
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray

from hopgym._checks import FRACTION, NOT_NEGATIVE, Rule, check_number
from hopgym._converters import to_float
from hopgym._keys import as_key
from hopgym.context import Context
from hopgym.optimizers.base import AbstractOptimizer

NUMBER = Rule("a number", lambda x: ~np.isnan(x))
RULES = {
    "learning_rate": NOT_NEGATIVE,
    "eps": NOT_NEGATIVE,
    **dict.fromkeys(("b1", "b2", "decay"), FRACTION),
}


class OptaxOptimizer(AbstractOptimizer[Any]):
    """An Optax optimizer as an optimizer of hopgym.

    ```python
    OptaxOptimizer(optax.adam, learning_rate=1e-2, b1=0.9)
    OptaxOptimizer(functools.partial(optax.sgd, nesterov=True), learning_rate=1e-3)
    OptaxOptimizer(optax.chain(optax.clip(100.0), optax.adam(1e-2)))
    ```

    The Optax optimizer is passed the extra arguments `value` and `grad` (so
    `optax.polyak_sgd` works). One that calls `value_fn`, as the line search of
    `optax.lbfgs` does, is rejected: its evaluations of the potential could not be
    counted.

    **Arguments:**

    - `make`: an Optax optimizer, or a function that returns one.
    - `hyperparameters`: numbers that are passed to `make`. They become array leaves;
      pass other arguments by `functools.partial`.

    **Raises:** `ValueError` for hyper-parameters together with an instance of an Optax
    optimizer, hyper-parameters that are NaN, negative learning rates, and, when
    `update` is first traced, for an optimizer that calls `value_fn`.
    """

    make: Callable[..., optax.GradientTransformation] = eqx.field(static=True)
    hyperparameters: dict[str, Float[Array, ""]]

    def __init__(
        self,
        make: Callable[..., optax.GradientTransformation]
        | optax.GradientTransformation,
        **hyperparameters: Any,
    ):
        if isinstance(make, optax.GradientTransformation):
            if hyperparameters:
                raise ValueError(
                    f"{sorted(hyperparameters)} have no effect on an instance of an "
                    "Optax optimizer: pass the function that returns it"
                )
            instance = make
            self.make = lambda: instance
        else:
            self.make = make
        self.hyperparameters = {k: to_float(v) for k, v in hyperparameters.items()}
        for name, value in self.hyperparameters.items():
            check_number(name, value, RULES.get(name, NUMBER))

    def init(
        self, positions: Float[Array, "atoms 3"], *, key: PRNGKeyArray, context: Context
    ) -> Any:
        return self.make(**self.hyperparameters).init(positions)

    def update(
        self,
        gradient: Float[Array, "atoms 3"],
        state: Any,
        positions: Float[Array, "atoms 3"],
        *,
        value: Float[Array, ""],
        context: Context,
    ) -> tuple[Float[Array, "atoms 3"], Any]:
        optimizer = optax.with_extra_args_support(self.make(**self.hyperparameters))
        update, state = optimizer.update(
            gradient, state, positions, value=value, grad=gradient, value_fn=_refuse
        )
        return update, state  # pyright: ignore[reportReturnType]


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    raise ValueError(
        "this Optax optimizer calls `value_fn` (as line searches do), but hopgym "
        "allows one evaluation per update; switch off its line search "
        "(optax.lbfgs(..., linesearch=None)) or use hopgym's 'lbfgs'"
    )


def as_optax(
    optimizer: AbstractOptimizer, context: Context, key: PRNGKeyArray
) -> optax.GradientTransformationExtraArgs:
    """Convert an optimizer of hopgym to one of Optax, whose parameters are positions.

    **Arguments:**

    - `optimizer`: an optimizer of hopgym.
    - `context`: context of the system, `hopgym.Environment(system).context`.
    - `key`: random key of the optimizer.

    **Returns:** an Optax optimizer. Its `update` requires the positions as `params` and
    the energy as `value=`, and raises `ValueError` without them.
    """

    key = as_key(key)

    def init(params):
        return optimizer.init(params, key=key, context=context)

    def update(updates, state, params=None, *, value=None, **extra):
        if params is None or value is None:
            raise ValueError(
                f"{type(optimizer).__name__} needs the positions and their energy: "
                "update(gradient, state, positions, value=energy)"
            )
        return optimizer.update(updates, state, params, value=value, context=context)

    return optax.GradientTransformationExtraArgs(init, update)


def adam(
    learning_rate: ArrayLike = 1e-2,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
) -> OptaxOptimizer:
    """Adam (`optax.adam`).

    m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g^2,
    x <- x - learning_rate m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps).

    D. P. Kingma and J. Ba, arXiv:1412.6980. The default learning rate is the largest on
    the grid of Learn2Hop, appendix C.1.

    **Arguments:**

    - `learning_rate`: length of a step in each coordinate, in the system's own unit.
    - `b1`, `b2`: decay rates of the first and second moment.
    - `eps`: energy / length, in the system's own units.
    """
    return OptaxOptimizer(
        optax.adam, learning_rate=learning_rate, b1=b1, b2=b2, eps=eps
    )


def rmsprop(
    learning_rate: ArrayLike = 1e-2,
    decay: ArrayLike = 0.9,
    eps: ArrayLike = 1e-8,
) -> OptaxOptimizer:
    """RMSprop (`optax.rmsprop`).

    v <- decay v + (1 - decay) g^2, x <- x - learning_rate g / sqrt(v + eps).

    T. Tieleman and G. Hinton, Neural Networks for Machine Learning, lecture 6.5 (2012).

    **Arguments:**

    - `learning_rate`: as in `adam`.
    - `decay`: decay rate of the second moment.
    - `eps`: energy^2 / length^2, in the system's own units.
    """
    return OptaxOptimizer(
        optax.rmsprop, learning_rate=learning_rate, decay=decay, eps=eps
    )
