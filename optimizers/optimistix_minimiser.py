"""Optimizers of hopgym as minimisers of Optimistix.

Requires `pip install "hopgym[optimistix]"`.

J. Rader, T. Lyons and P. Kidger, arXiv:2402.09983 (Optimistix).
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from hopgym._checks import NOT_NEGATIVE, check_number
from hopgym._keys import as_key
from hopgym.context import Context
from hopgym.optimizers.base import AbstractOptimizer

try:
    import optimistix
except ImportError as error:
    raise ImportError(
        "hopgym.optimizers.optimistix_minimiser needs Optimistix: "
        'pip install "hopgym[optimistix]"'
    ) from error


class MinimiserState(eqx.Module):
    """State of the optimizer, and the lowest structure evaluated so far."""

    opt_state: Any
    best_positions: Float[Array, "atoms 3"]
    best_energy: Float[Array, ""]
    evaluations: Int[Array, ""]
    finished: Bool[Array, ""]


class Minimiser(optimistix.AbstractMinimiser):
    """Any optimizer, for `optimistix.minimise(energy, Minimiser(...), positions)`.

    Each step is one evaluation of the function and its gradient. The solution is the
    structure of lowest energy. (`optimistix.OptaxMinimiser` returns the last structure
    and stops after a short step, so it does not suit optimizers that hop.)
    `stats["evaluations"]` is the number of evaluations.

    **Arguments:**

    - `optimizer`: an optimizer of hopgym.
    - `context`: context of the system, `hopgym.Environment(system).context`.
    - `key`: random key of the optimizer.
    - `force`: the minimiser stops when the largest component of the gradient is below
      this, in units of energy / length. The default, 0, is meant for searches, which
      stop at `max_steps` only (pass `throw=False`).
    """

    optimizer: AbstractOptimizer
    context: Context
    key: PRNGKeyArray
    force: float
    rtol: float  # these three are required by Optimistix
    atol: float
    norm: Any

    def __init__(
        self,
        optimizer: AbstractOptimizer,
        context: Context,
        key: PRNGKeyArray,
        force: float = 0.0,
    ):
        self.optimizer = optimizer
        self.context = context
        self.key = as_key(key)
        check_number("force", force, NOT_NEGATIVE)
        self.force = force
        self.rtol = self.atol = 0.0
        self.norm = optimistix.max_norm

    def init(self, fn, y, args, options, f_struct, aux_struct, tags):
        return MinimiserState(
            opt_state=self.optimizer.init(y, key=self.key, context=self.context),
            best_positions=y,
            best_energy=jnp.asarray(jnp.inf, f_struct.dtype),
            evaluations=jnp.zeros((), jnp.int32),
            finished=jnp.asarray(False),
        )

    def step(self, fn, y, args, options, state, tags):
        (energy, aux), gradient = eqx.filter_value_and_grad(fn, has_aux=True)(y, args)
        update, opt_state = self.optimizer.update(
            gradient, state.opt_state, y, value=energy, context=self.context
        )
        better = energy < state.best_energy
        limit = self.force * self.context.energy_unit / self.context.length
        state = MinimiserState(
            opt_state=opt_state,
            best_positions=jnp.where(better, y, state.best_positions),
            best_energy=jnp.where(better, energy, state.best_energy),
            evaluations=state.evaluations + 1,
            finished=jnp.max(jnp.abs(gradient)) < limit,
        )
        return y + update, state, aux

    def terminate(self, fn, y, args, options, state, tags):
        return state.finished, optimistix.RESULTS.successful

    def postprocess(self, fn, y, aux, args, options, state, tags, result):
        stats = {"evaluations": state.evaluations, "energy": state.best_energy}
        return state.best_positions, aux, stats
