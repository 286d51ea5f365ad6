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
    begin_run,
    judge_run,
    run_loss,
)
from hopgym.systems import System

START_STREAM, POLICY_STREAM = 0, 1  # of random numbers, drawn from a key
ATOMS_AT_ONCE = 800  # that advance together on a device: they should fit its cache


class BatchedUnroll:
    """Runs many optimizers of one architecture on one system at once.

    Row k of every array belongs to run k. Rows are shared out over the devices of all
    processes (in multi-process JAX every process calls every method with the same
    arguments). What row k computes does not depend on the other rows.

    **Arguments:**

    - `system`: what to minimise.
    - `architecture`: an optimizer; what is not its inexact arrays is kept.
    - `bounded`, `polish_steps`: see [`hopgym.meta.meta_loss`][].
    - `devices`: all by default.
    """

    def __init__(
        self,
        system: System,
        architecture: Any,
        *,
        bounded: bool = True,
        polish_steps: int = 1000,
        devices: Sequence[Any] | None = None,
    ):
        self._mesh = _sharding.make_mesh(devices=devices)
        environment = Environment(system)
        _, frozen = eqx.partition(architecture, eqx.is_inexact_array)

        def starts(words, index):
            def one(i):
                return system.sample(_make_key(words, START_STREAM, i))

            return jax.vmap(one)(index)

        def begin(words, weights, index, positions):
            def one(weights, i, positions):
                optimizer = eqx.combine(weights, frozen)
                return begin_run(
                    environment,
                    optimizer,
                    _make_key(words, POLICY_STREAM, i),
                    positions,
                )

            return jax.vmap(one)(weights, index, positions)

        def advance(weights, runs, steps):
            def one(weights, run):
                optimizer = eqx.combine(weights, frozen)
                return advance_run(environment, optimizer, run, bounded=bounded)

            def some(batch):
                weights, runs = batch
                return jax.lax.fori_loop(
                    0, steps, lambda _, runs: jax.vmap(one)(weights, runs), runs
                )

            return _in_groups(
                some, (weights, runs), max(1, ATOMS_AT_ONCE // system.atoms)
            )

        def loss(kind, runs, steps):
            return run_loss(
                environment,
                runs,
                steps,
                kind,
                bounded=bounded,
                polish_steps=polish_steps,
            )

        def judge(runs):
            return judge_run(environment, runs, polish_steps=polish_steps)

        def program(function: Callable, *batched: bool, donate: tuple[int, ...] = ()):
            sharded = _sharding.shard(function, self._mesh, batched)
            return jax.jit(sharded, donate_argnums=donate)

        self._starts = program(starts, False, True)
        self._begin = program(begin, False, True, True, True)
        self._advance = program(advance, True, True, False, donate=(1,))
        self._loss = {
            kind: program(functools.partial(loss, kind), True, False)
            for kind in LOSS_KINDS
        }
        self._judge = program(judge, True)

    def begin(
        self, key: PRNGKeyArray, weights: PyTree[Array], instances: np.ndarray
    ) -> Run:
        """Runs at their starts.

        **Arguments:**

        - `key`: of starts and policies.
        - `weights`: the inexact arrays of the optimizers, with a leading axis.
        - `instances`: for each row the number of its start; rows of the same number
          have the same start and the same randomness.
        """
        words = np.asarray(jax.random.key_data(key))
        kinds, where = np.unique(instances, return_inverse=True)
        starts = self._starts(words, self._spread(kinds))
        positions = self._gather(starts, len(kinds))
        return self._begin(
            words,
            self._spread(weights),
            self._spread(instances),
            self._spread(positions[where]),
        )

    def advance(self, weights: PyTree[Array], runs: Run, steps: int) -> Run:
        """The runs after more updates; `runs` themselves are given up."""
        done = self._advance(self._spread(weights), runs, np.int32(steps))
        return jax.block_until_ready(done)

    def losses(self, runs: Run, rows: int, steps: int, kind: str) -> np.ndarray:
        """Losses of the first `rows` runs; totals are of the last `steps` updates."""
        return self._gather(self._loss[kind](runs, np.int32(steps)), rows)

    def judge(self, runs: Run, rows: int) -> Outcome:
        """Outcomes of the first `rows` runs."""
        return self._gather(self._judge(runs), rows)

    def fetch(self, runs: Run, rows: int) -> Run:
        """The runs in the memory of this process."""
        return self._gather(runs, rows)

    def restore(self, runs: Run) -> Run:
        """What `fetch` returned, on the devices again."""
        return self._spread(runs)

    def _spread(self, tree: PyTree) -> PyTree:
        return _sharding.spread(tree, self._mesh)

    def _gather(self, tree: PyTree, rows: int) -> PyTree:
        return _sharding.gather(tree, rows, self._mesh)


def _in_groups(function: Callable, rows: PyTree, limit: int) -> PyTree:
    """`function` of a few rows at a time, as evenly as possible."""
    count = len(jax.tree.leaves(rows)[0])
    groups = -(-count // limit)
    size = -(-count // groups)
    order = jnp.arange(groups * size) % count  # the first rows again, to fill up
    split = jax.tree.map(lambda x: x[order].reshape(groups, size, *x.shape[1:]), rows)
    done = jax.lax.map(function, split)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:count], done)


def _make_key(words: Array, stream: int, index: Array) -> PRNGKeyArray:
    """Made on the devices: keys of one process mean nothing to the others."""
    key = jax.random.fold_in(jax.random.wrap_key_data(words), stream)
    return jax.random.fold_in(key, index)
