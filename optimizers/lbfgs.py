"""Limited-memory BFGS with one evaluation per update.

Liu and Nocedal, Math. Program. 45, 503 (1989). The two-loop recursion operates on inner
products, which are stored with the history (Chen, Wang and Zhou, NIPS 27 (2014)): one
small matrix product per update. As is customary for atoms, there is no line search:
steps have a limited length and are shortened when the energy rises.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from hopgym import native
from hopgym._checks import (
    LIMIT,
    NOT_NEGATIVE,
    POSITIVE,
    check_fields,
    check_integer,
)
from hopgym._converters import to_float, to_int
from hopgym.context import Context
from hopgym.optimizers.base import (
    AbstractLocalOptimizer,
    AbstractOptimizer,
    HasForceTolerance,
)

MAX_MEMORY = 1000  # steps in the history
HISTORY_FIELDS = ("pairs", "sy", "yy", "inverse")  # fields of the state
OTHER_FIELDS = ("trial", "shortened", "flat")
LAST_FIELDS = ("positions", "gradient", "energy")  # of the last accepted structure
LIMITS = ("force", "step", "first", "rise")  # as `LbfgsLimit` in native/kernels.h


class LBFGSState(eqx.Module):
    """Last accepted structure, history of accepted steps, and the trial step.

    **Attributes:**

    - `positions`, `gradient`, `energy`: the last accepted structure.
    - `trial`: the trial step from it.
    - `pairs`: steps s (newest first), followed by the changes y of the gradient.
    - `sy`, `yy`: their inner products, `sy[i, j] = s_i . y_j`, `yy[i, j] = y_i . y_j`.
    - `inverse`: 1 / s_i . y_i; 0 for an empty slot.
    - `fresh`: whether there is no accepted structure yet.
    - `shortened`: how often the trial step has been shortened.
    - `flat`: number of successive steps that did not change the energy.
    - `finished`: whether the optimizer has converged.
    """

    positions: Float[Array, "atoms 3"]
    gradient: Float[Array, "atoms 3"]
    energy: Float[Array, ""]
    trial: Float[Array, "atoms 3"]
    pairs: Float[Array, "pairs coordinates"]
    sy: Float[Array, "memory memory"]
    yy: Float[Array, "memory memory"]
    inverse: Float[Array, " memory"]
    fresh: Bool[Array, ""]
    shortened: Int[Array, ""]
    flat: Int[Array, ""]
    finished: Bool[Array, ""]


def _to_force_tolerance(force: ArrayLike | None) -> Float[Array, ""]:
    """Convert `force`; `None` stands for a default that depends on the precision."""
    if force is None:
        force = 1e-6 if jnp.zeros(()).dtype == jnp.float64 else 1e-3
    return to_float(force)


class LBFGS(AbstractLocalOptimizer[LBFGSState]):
    """x <- x - H g with H from the last `memory` steps ("L-BFGS" in the paper).

    A trial step that raises the energy by more than `rise` is undone and repeated with
    a tenth of its length. The optimizer has converged when the largest force is below
    `force`, or when the energy has not changed by more than rounding for `patience`
    steps, which is as far as float32 can get.

    **Arguments:**

    - `force`: largest force on an atom at convergence, in units of energy / length; by
      default 1e-6 in float64 and 1e-3 in float32.
    - `max_step`: maximum displacement of an atom in one step, in units of length.
    - `first`: H while the history is empty, in units of length^2 / energy.
    - `rise`: largest acceptable rise of the energy in a step, in units of energy.
    - `patience`: number of steps without a change of the energy that count as
      convergence.
    - `memory`: number of steps in the history, at most 1000 (static).

    **Raises:** `ValueError` for negative numbers or NaN, and a `max_step`, `first`,
    `patience` or `memory` of 0.
    """

    force: Float[Array, ""] = eqx.field(converter=_to_force_tolerance, default=None)
    max_step: Float[Array, ""] = eqx.field(converter=to_float, default=0.1)
    first: Float[Array, ""] = eqx.field(converter=to_float, default=0.01)
    rise: Float[Array, ""] = eqx.field(converter=to_float, default=1e-4)
    patience: Int[Array, ""] = eqx.field(converter=to_int, default=100)
    memory: int = eqx.field(static=True, default=6)

    def __check_init__(self):
        check_fields(
            self,
            force=NOT_NEGATIVE,
            max_step=POSITIVE,
            first=POSITIVE,
            rise=LIMIT,
            patience=POSITIVE,
        )
        check_integer("LBFGS: memory", self.memory, 1, MAX_MEMORY)

    def init(
        self, positions: Float[Array, "atoms 3"], *, key: PRNGKeyArray, context: Context
    ) -> LBFGSState:
        none = jnp.zeros_like(positions)
        square = jnp.zeros((self.memory, self.memory), positions.dtype)
        count = jnp.zeros((), jnp.int32)
        return LBFGSState(
            positions=positions,
            gradient=none,
            energy=jnp.zeros((), positions.dtype),
            trial=none,
            pairs=jnp.zeros((2 * self.memory, positions.size), positions.dtype),
            sy=square,
            yy=square,
            inverse=jnp.zeros(self.memory, positions.dtype),
            fresh=jnp.asarray(True),
            shortened=count,
            flat=count,
            finished=jnp.asarray(False),
        )

    def restart(self, state: LBFGSState, when: Bool[Array, ""]) -> LBFGSState:
        """Discard the history where `when` holds."""
        return eqx.tree_at(
            lambda s: (s.inverse, s.fresh, s.shortened, s.flat, s.finished),
            state,
            (
                jnp.where(when, 0, state.inverse),
                state.fresh | when,
                jnp.where(when, 0, state.shortened),
                jnp.where(when, 0, state.flat),
                state.finished & ~when,
            ),
        )

    @property
    def force_tolerance(self) -> Float[Array, ""]:
        """Largest force on an atom at convergence, in units of energy / length."""
        return self.force

    def finished(self, state: LBFGSState) -> Bool[Array, ""]:
        return state.finished

    def update(
        self,
        gradient: Float[Array, "atoms 3"],
        state: LBFGSState,
        positions: Float[Array, "atoms 3"],
        *,
        value: Float[Array, ""],
        context: Context,
    ) -> tuple[Float[Array, "atoms 3"], LBFGSState]:
        limits = {
            "force": self.force * context.energy_unit / context.length,
            "step": self.max_step * context.length,
            "first": self.first * context.length**2 / context.energy_unit,
            "rise": self.rise * context.energy_unit,
        }
        operands = (gradient, positions, value, state, limits, self.patience)
        return native.dispatch(_update_native, _update_jax, *operands)


def get_force_tolerance(optimizer: AbstractOptimizer) -> Float[Array, ""]:
    """The tolerance that an optimizer states, or else that of `LBFGS` by default."""
    if isinstance(optimizer, HasForceTolerance):
        return optimizer.force_tolerance
    return _to_force_tolerance(None)


def _update_native(gradient, positions, value, state, limits, patience):
    """Displacement and next state, from the C++ kernel (native/lbfgs.inl)."""
    names = {name: name for name in (*HISTORY_FIELDS, *OTHER_FIELDS)}
    names |= {f"last_{name}": name for name in LAST_FIELDS}
    changed = {name: getattr(state, field) for name, field in names.items()}
    found = native.call(
        "lbfgs",
        native.get_shapes(
            {"displacement": gradient, "finished": state.finished, **changed}
        ),
        operands={
            "gradient": gradient,
            "positions": positions,
            "value": value,
            # One array, which is copied for each replica.
            "limits": jnp.stack([limits[name] for name in LIMITS]),
            "patience": patience,
            "fresh": state.fresh,
            **changed,
        },
        attributes={"memory": state.inverse.shape[0]},
        in_place=tuple(changed),
    )
    return found["displacement"], LBFGSState(
        **{field: found[name] for name, field in names.items()},
        fresh=jnp.asarray(False),
        finished=found["finished"],
    )


def _update_jax(gradient, positions, value, state, limits, patience):
    """Displacement and next state, in JAX."""
    rounding = 4 * jnp.finfo(positions.dtype).eps * jnp.abs(value)
    change = value - state.energy
    rose = change > limits["rise"] + rounding
    # Shortened ten times, the trial step is below rounding: accept it.
    accept = state.fresh | ~rose | (state.shortened >= 10)

    history = _update_history(gradient, positions, state, accept & ~state.fresh)
    step = _apply_two_loops(gradient, history, limits["first"])
    # No atom moves too far.
    longest = jnp.sqrt(jnp.max(jnp.sum(step**2, axis=1)))
    step = step * (limits["step"] / jnp.maximum(longest, limits["step"]))
    trial = jnp.where(accept, step, 0.1 * state.trial)
    origin = jnp.where(accept, positions, state.positions)

    flat = (jnp.abs(change) <= rounding) & ~state.fresh
    flat = jnp.where(flat, state.flat + 1, 0)
    largest = jnp.sqrt(jnp.max(jnp.sum(gradient**2, axis=1)))
    finished = (largest < limits["force"]) | (flat >= patience)
    displacement = jnp.where(finished, 0, (origin - positions) + trial)
    return displacement, LBFGSState(
        positions=origin,
        gradient=jnp.where(accept, gradient, state.gradient),
        energy=jnp.where(accept, value, state.energy),
        trial=trial,
        **history,
        fresh=jnp.asarray(False),
        shortened=jnp.where(accept, 0, state.shortened + 1),
        flat=jnp.where(accept, flat, state.flat),
        finished=finished,
    )


def _update_history(gradient, positions, state, keep) -> dict[str, Array]:
    """Prepend the last step to the history if `keep` and its curvature is positive."""
    s = (positions - state.positions).ravel()
    y = (gradient - state.gradient).ravel()
    sy, yy = jnp.sum(s * y), jnp.sum(y * y)
    # A pair without positive curvature would make H indefinite.
    useful = keep & (sy > 1e-8 * jnp.sqrt(yy * jnp.sum(s * s)))

    m = state.inverse.shape[0]
    before = state.pairs
    shifted = jnp.concatenate(
        [s[None], before[: m - 1], y[None], before[m : 2 * m - 1]]
    )
    pairs = jnp.where(useful, shifted, before)
    basis = jnp.stack([pairs[0], pairs[m]], axis=1)
    products = jnp.matmul(pairs, basis, precision=jax.lax.Precision.HIGHEST)
    sy_table = _shift_in(state.sy, products[m:, 0], products[:m, 1])
    yy_table = _shift_in(state.yy, products[m:, 1], products[m:, 1])
    newest = (1 / jnp.where(useful, sy, 1))[None]
    inverses = jnp.concatenate([newest, state.inverse])
    return {
        "pairs": pairs,
        "sy": jnp.where(useful, sy_table, state.sy),
        "yy": jnp.where(useful, yy_table, state.yy),
        "inverse": jnp.where(useful, inverses[:m], state.inverse),
    }


def _apply_two_loops(gradient, history, first) -> Array:
    """Compute -H g by the two-loop recursion on inner products."""
    pairs, sy, yy = history["pairs"], history["sy"], history["yy"]
    inverse = history["inverse"]
    m = inverse.shape[0]
    flat = gradient.ravel()
    products = jnp.matmul(pairs, flat, precision=jax.lax.Precision.HIGHEST)
    sg, yg = products[:m], products[m:]
    scale = jnp.where(inverse[0] > 0, sy[0, 0] / _avoid_zero(yy[0, 0]), first)

    alpha = jnp.zeros_like(inverse)
    for i in range(m):
        a = inverse[i] * (sg[i] - jnp.sum(alpha[:i] * sy[i, :i]))
        alpha = alpha.at[i].set(a)
    forward = scale * (yg - jnp.sum(yy * alpha, axis=1))
    c = jnp.zeros_like(inverse)
    for i in reversed(range(m)):
        b = inverse[i] * (forward[i] + jnp.sum(c[i + 1 :] * sy[i + 1 :, i]))
        c = c.at[i].set(alpha[i] - b)
    weights = jnp.concatenate([c, -scale * alpha])
    step = scale * flat + jnp.matmul(
        weights, pairs, precision=jax.lax.Precision.HIGHEST
    )
    uphill = jnp.sum(step * flat) < 0
    return jnp.where(uphill, step, -step).reshape(gradient.shape)


def _shift_in(table: Array, column: Array, row: Array) -> Array:
    """Shift a table down and right by one, and insert its first row and column.

    `table[i, j]` is the product of s_i (or y_i) and y_j: `row` holds the products of
    the newest s with all y, `column` those of all s with the newest y.
    """
    inner = jnp.concatenate([row[1:, None], table[:-1, :-1]], axis=1)
    return jnp.concatenate([column[None], inner], axis=0)


def _avoid_zero(value: Array) -> Array:
    return jnp.where(value > 0, value, 1)
