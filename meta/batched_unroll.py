"""Unrolls of many optimizers on many starts, spread over all devices."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray, PyTree

from hopgym import _sharding
from hopgym.environment import Environment
from hopgym.meta.unroll import (
    LOSS_KINDS,
    Outcome,
    Run,
    advance_run,
    compute_losses,
    evaluate_runs,
    init_run,
)
from hopgym.optimizers.base import adapt
from hopgym.systems import System

START_STREAM, POLICY_STREAM = 0, 1  # of random numbers, folded into a key
ATOMS_AT_ONCE = 800  # advance together on a device: few enough to fit in its cache
STEPS_AT_ONCE = 200  # after which the runs that are still open are gathered again


class BatchedUnroll:
    """Runs many optimizers of one architecture on one system at once.

    Row k of every array belongs to run k. Rows are spread over the devices of all
    processes (in multi-process JAX every process must call every method with the same
    arguments). The results of a row do not depend on the other rows, but for what runs
    that may end do after their ends.

    **Arguments:**

    - `system`: the system to minimise.
    - `architecture`: an optimizer; its trained arrays are replaced by weights.
    - `trained`: filter of these, see `equinox.partition`; by default all floating-point
      arrays.
    - `bounded`, `polish_steps`: see [`hopgym.meta.meta_loss`][].
    - `until_hit`: whether runs may end once they have met the reference minimum.
    - `prepare`: returns the optimizer of the runs from that for the system.
    - `devices`: by default all.
    """

    def __init__(
        self,
        system: System,
        architecture: Any,
        *,
        trained: Any = eqx.is_inexact_array,
        bounded: bool = True,
        polish_steps: int = 1000,
        until_hit: bool = False,
        prepare: Callable[[Any], Any] = lambda optimizer: optimizer,
        devices: Sequence[Any] | None = None,
    ):
        self._mesh = _sharding.make_mesh(devices=devices)
        environment = Environment(system)
        _, frozen = eqx.partition(architecture, trained)

        def make_optimizer(weights):
            return prepare(adapt(eqx.combine(weights, frozen), system))

        def draw_starts(words, index):
            def one(i):
                return system.sample(make_key(words, START_STREAM, i))

            return jax.vmap(one)(index)

        def init(words, weights, index, positions):
            def one(weights, i, positions):
                return init_run(
                    environment,
                    make_optimizer(weights),
                    make_key(words, POLICY_STREAM, i),
                    positions,
                )

            return jax.vmap(one)(weights, index, positions)

        def advance(weights, runs, steps):
            def one(weights, run):
                optimizer = make_optimizer(weights)
                return advance_run(environment, optimizer, run, bounded=bounded)

            def is_open(runs):
                met = runs.state.first_hit > 0
                return ~met if until_hit else jnp.ones_like(met)

            def advance_group(few, weights, runs):
                def advance_once(carry):
                    step, runs = carry
                    return step + 1, jax.vmap(one)(weights, runs)

                _, runs = jax.lax.while_loop(
                    lambda carry: (carry[0] < few) & jnp.any(is_open(carry[1])),
                    advance_once,
                    (jnp.zeros_like(steps), runs),
                )
                return runs

            size = max(1, ATOMS_AT_ONCE // system.atoms)

            def advance_all(carry):
                left, runs = carry
                few = jnp.minimum(left, STEPS_AT_ONCE) if until_hit else left
                function = functools.partial(advance_group, few)
                runs = advance_open(function, weights, runs, is_open(runs), size)
                return left - few, runs

            _, runs = jax.lax.while_loop(
                lambda carry: (carry[0] > 0) & jnp.any(is_open(carry[1])),
                advance_all,
                (steps, runs),
            )
            return runs

        def losses(kind, runs, steps):
            return compute_losses(
                environment,
                runs,
                steps,
                kind,
                bounded=bounded,
                polish_steps=polish_steps,
            )

        def evaluate(runs):
            return evaluate_runs(environment, runs, polish_steps=polish_steps)

        def jit(function: Callable, *batched: bool, donate: tuple[int, ...] = ()):
            sharded = _sharding.shard(function, self._mesh, batched)
            return jax.jit(sharded, donate_argnums=donate)

        self._draw_starts = jit(draw_starts, False, True)
        self._init = jit(init, False, True, True, True)
        self._advance = jit(advance, True, True, False, donate=(1,))
        self._losses = {
            kind: jit(functools.partial(losses, kind), True, False)
            for kind in LOSS_KINDS
        }
        self._evaluate = jit(evaluate, True)

    def begin(
        self,
        key: PRNGKeyArray,
        weights: PyTree[Array],
        instances: np.ndarray,
        systems: np.ndarray | None = None,
    ) -> Run:
        """Initialise runs.

        **Arguments:**

        - `key`: random key of starts and policies.
        - `weights`: floating-point arrays of the optimizers, with a leading axis.
        - `instances`: for each row the number of its start; rows with the same number
          have the same start and the same random numbers.
        - `systems`: unused: all rows have the same system.
        """
        words = np.asarray(jax.random.key_data(key))
        kinds, where = np.unique(instances, return_inverse=True)
        starts = self._draw_starts(words, self._spread(kinds))
        positions = self._gather(starts, len(kinds))
        return self._init(
            words,
            self._spread(weights),
            self._spread(instances),
            self._spread(positions[where]),
        )

    def advance(self, weights: PyTree[Array], runs: Run, steps: int) -> Run:
        """Advance the runs by `steps` updates; the memory of `runs` is reused."""
        done = self._advance(self._spread(weights), runs, np.int32(steps))
        return jax.block_until_ready(done)

    def losses(self, runs: Run, rows: int, steps: int, kind: str) -> np.ndarray:
        """Losses of the first `rows` runs, whose totals are over `steps` updates."""
        return self._gather(self._losses[kind](runs, np.int32(steps)), rows)

    def judge(self, runs: Run, rows: int) -> Outcome:
        """Outcomes of the first `rows` runs."""
        return self._gather(self._evaluate(runs), rows)

    def fetch(self, runs: Run, rows: int) -> Run:
        """Copy the first `rows` runs to the memory of this process."""
        return self._gather(runs, rows)

    def restore(self, runs: Run) -> Run:
        """Place runs that `fetch` returned on the devices."""
        return self._spread(runs)

    def _spread(self, tree: PyTree) -> PyTree:
        return _sharding.spread(tree, self._mesh)

    def _gather(self, tree: PyTree, rows: int) -> PyTree:
        return _sharding.gather(tree, rows, self._mesh)


def advance_open(
    function: Callable, weights: PyTree, runs: Any, is_open: Array, limit: int
) -> Any:
    """Advance open runs in groups of at most `limit`, one group after the other.

    **Arguments:**

    - `function`: returns a group of runs, advanced, from its weights and runs.
    - `is_open`: which runs are to be advanced. The last group is filled with others.
    """
    count = len(is_open)
    groups = -(-count // limit)
    size = -(-count // groups)
    # Rows beyond the last one stand for nothing: not written, read as the last one.
    order = jnp.pad(
        jnp.argsort(~is_open, stable=True),
        (0, groups * size - count),
        constant_values=count,
    )

    def advance(group, runs):
        rows = jax.lax.dynamic_slice_in_dim(order, group * size, size)

        def take(x):
            return x.at[rows].get(mode="clip")

        done = function(jax.tree.map(take, weights), jax.tree.map(take, runs))
        return jax.tree.map(
            lambda old, new: old.at[rows].set(new, mode="drop"), runs, done
        )

    last = -(-jnp.sum(is_open) // size)
    return jax.lax.fori_loop(0, last, advance, runs)


def make_key(words: Array, stream: int, index: Array) -> PRNGKeyArray:
    """Random key from its data: other processes cannot use a key of this process."""
    key = jax.random.fold_in(jax.random.wrap_key_data(words), stream)
    return jax.random.fold_in(key, index)
