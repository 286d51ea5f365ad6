"""Ends quenches early that are expected to be in vain.

A quench whose minimum will be rejected costs as much as one that will be accepted. How
far its energy will still fall can be told from the decrement of the local optimizer.
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from hopgym._checks import check_length
from hopgym.context import Context

INPUTS = (
    *("constant", "log_decrement", "log_force", "log_last_fall", "log_evaluations"),
    "log_height",
)
# Of the first five, fitted to quenches of basin hopping on LJ-13, 19 and 31; the
# constant is larger by 2, so that few quenches end that would have been accepted.
FITTED = (3.85, 0.82, -0.26, 0.32, 0.02, 0.0)
LEAST = 1e-6  # units: smaller numbers are not told apart


class Forecast(eqx.Module):
    """What a forecast needs of the quench so far.

    **Attributes:**

    - `allowed`: highest energy that will be accepted, infinite if all are.
    - `last`: energy of the last structure, infinite before the first one.
    """

    allowed: Float[Array, ""]
    last: Float[Array, ""]


def follow_quench(
    allowed: Float[Array, ""] | None, value: Float[Array, ""], ended: Bool[Array, ""]
) -> Forecast | None:
    """What a forecast needs at the next structure, `None` without `allowed`."""
    if allowed is None:
        return None
    return Forecast(allowed, jnp.where(ended, jnp.inf, value))


class QuenchEnd(eqx.Module):
    """Ends a quench whose energy is not expected to fall to one that is accepted.

    The further fall, in units of energy, is expected to be the exponential of the
    weighted sum of `INPUTS`: the logarithms of the decrement (the gradient times the
    negative step), the largest force, the last fall of the energy, the evaluations of
    the quench and the height above what is accepted.

    **Arguments:**

    - `weights`: by default fitted, with a margin.
    """

    weights: Float[Array, " inputs"] = eqx.field(
        converter=lambda x: jnp.asarray(x, float), default=FITTED
    )

    def __check_init__(self):
        check_length(self, "weights", len(INPUTS))

    def is_in_vain(
        self,
        forecast: Forecast,
        value: Float[Array, ""],
        gradient: Float[Array, "atoms 3"],
        step: Float[Array, "atoms 3"],
        evaluations: Int[Array, ""],
        context: Context,
    ) -> Bool[Array, ""]:
        """Whether the minimum is expected to be rejected.

        **Arguments:**

        - `forecast`: what is known of the quench.
        - `value`, `gradient`, `step`: of the current structure, and the step from it.
        - `evaluations`: of the quench so far.
        - `context`: see [`hopgym.Context`][].
        """
        unit = context.energy_unit
        height = (value - forecast.allowed) / unit
        decrement = -jnp.sum(gradient * step) / unit
        force = jnp.sqrt(jnp.max(jnp.sum(gradient**2, axis=1))) * context.length / unit
        fall = (forecast.last - value) / unit
        logs = [
            jnp.log(jnp.maximum(x, LEAST)) for x in (decrement, force, fall, height)
        ]
        number = jnp.log1p(evaluations.astype(height.dtype))
        inputs = jnp.stack(
            [jnp.ones_like(number), logs[0], logs[1], logs[2], number, logs[3]]
        )
        expected = jnp.exp(jnp.dot(self.weights.astype(inputs.dtype), inputs))
        # A step up tells nothing.
        return (fall > 0) & jnp.isfinite(fall) & (height > expected)
