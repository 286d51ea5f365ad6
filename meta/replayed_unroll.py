"""Choices of groups played with recorded epochs instead of searches."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from hopgym import _sharding
from hopgym.meta import epochs
from hopgym.meta.batched_unroll import POLICY_STREAM, make_key
from hopgym.meta.epochs import Epochs
from hopgym.meta.unroll import HIT_KINDS, hit_loss
from hopgym.optimizers.base import adapt
from hopgym.optimizers.symmetric_basin_hopping import SymmetricBasinHopping
from hopgym.optimizers.symmetry.choices.base import Situation
from hopgym.optimizers.symmetry.evidence import Evidence, add_epoch, make_evidence
from hopgym.systems import System


class ReplayedRun(eqx.Module):
    """State of a search whose epochs are drawn from recorded ones.

    **Attributes:**

    - `key`: random key of what follows.
    - `evidence`: what the epochs have found.
    - `lowest`: lowest energy of all epochs.
    - `epochs`, `evaluations`: numbers so far.
    - `limit`: number of evaluations at which to stop.
    - `first_hit`: number of evaluations at the first hit, -1 before it.
    """

    key: PRNGKeyArray
    evidence: Evidence
    lowest: Float[Array, "*batch"]
    epochs: Int[Array, "*batch"]
    evaluations: Int[Array, "*batch"]
    limit: Int[Array, "*batch"]
    first_hit: Int[Array, "*batch"]


class ReplayedUnroll:
    """Runs many choices of groups on recorded epochs of one system at once.

    Every epoch is one of those that were recorded of the chosen group, drawn at random.
    This takes a hundredth of the time of a search, and leaves out what it has beside
    epochs, the ordinary basin hopping, but for its evaluations. Rows are as in
    [`hopgym.meta.BatchedUnroll`][].

    **Arguments:**

    - `system`: the system.
    - `architecture`: a learned `bh-symmetric`; its trained arrays are replaced by
      weights.
    - `folder`: folder of the recorded epochs.
    - `trained`: filter of the trained arrays, see `equinox.partition`.
    - `devices`: by default all.

    **Raises:** `ValueError` if the search chooses no groups on this system, or the
    folder has no epochs of these.
    """

    def __init__(
        self,
        system: System,
        architecture: Any,
        folder: Path,
        *,
        trained: Any = eqx.is_inexact_array,
        devices: Sequence[Any] | None = None,
    ):
        own = adapt(architecture, system)
        if not isinstance(own, SymmetricBasinHopping):
            raise ValueError(f"{system.name}: the search chooses no groups there")
        groups = list(own.subspaces.names)
        recorded = epochs.read(folder, system.name, groups)
        self._recorded = jax.tree.map(jnp.asarray, recorded)
        self._mesh = _sharding.make_mesh(devices=devices)
        _, frozen = eqx.partition(architecture, trained)

        def init(words, index):
            def one(i):
                zero = jnp.zeros((), jnp.int32)
                dtype = recorded.energy.dtype
                return ReplayedRun(
                    key=make_key(words, POLICY_STREAM, i),
                    evidence=make_evidence(len(groups), dtype),
                    lowest=jnp.full((), jnp.inf, dtype),
                    epochs=zero,
                    evaluations=zero,
                    limit=zero,
                    first_hit=zero - 1,
                )

            return jax.vmap(one)(index)

        def advance(recorded, weights, runs, steps):
            def one(weights, run):
                search = adapt(eqx.combine(weights, frozen), system)
                run = eqx.tree_at(lambda r: r.limit, run, run.limit + steps)
                return jax.lax.while_loop(
                    lambda run: (run.first_hit < 0) & (run.evaluations < run.limit),
                    lambda run: _play_epoch(run, search, recorded, system),
                    run,
                )

            return jax.vmap(one)(weights, runs)

        def losses(kind, runs, steps):
            is_early = runs.first_hit <= steps
            first_hit = jnp.where(is_early, runs.first_hit, -1)
            return hit_loss(first_hit, runs.lowest, steps, system, kind)

        def jit(function, *batched: bool):
            return jax.jit(_sharding.shard(function, self._mesh, batched))

        self._init = jit(init, False, True)
        self._advance = jit(advance, False, True, True, False)
        self._losses = {
            kind: jit(functools.partial(losses, kind), True, False)
            for kind in HIT_KINDS
        }

    def begin(
        self, key: PRNGKeyArray, weights: PyTree[Array], instances: np.ndarray
    ) -> ReplayedRun:
        """Initialise runs.

        **Arguments:**

        - `key`: random key.
        - `weights`: unused, as in [`hopgym.meta.BatchedUnroll`][].
        - `instances`: rows with the same number have the same random numbers.
        """
        words = np.asarray(jax.random.key_data(key))
        return self._init(words, _sharding.spread(instances, self._mesh))

    def advance(
        self, weights: PyTree[Array], runs: ReplayedRun, steps: int
    ) -> ReplayedRun:
        """Advance the runs by about `steps` evaluations, to the end of an epoch."""
        spread = _sharding.spread(weights, self._mesh)
        done = self._advance(self._recorded, spread, runs, np.int32(steps))
        return jax.block_until_ready(done)

    def losses(self, runs: ReplayedRun, rows: int, steps: int, kind: str) -> np.ndarray:
        """Losses of the first `rows` runs: those of first hits within `steps`."""
        found = self._losses[kind](runs, np.int32(steps))
        return _sharding.gather(found, rows, self._mesh)


def _play_epoch(
    run: ReplayedRun, search: Any, recorded: Epochs, system: System
) -> ReplayedRun:
    key, choice_key, epoch_key = jax.random.split(run.key, 3)
    rules, unit = search.rules, jnp.asarray(system.energy_unit, run.lowest.dtype)
    situation = Situation(
        search.subspaces.logits, run.evidence, unit, run.evaluations, run.epochs
    )
    group = search.choice.choose(choice_key, rules, situation).group
    first, after = recorded.first[group], recorded.first[group + 1]
    epoch = jax.random.randint(epoch_key, (), first, after)
    energy, inside = recorded.energy[epoch], recorded.inside[epoch]
    promising = energy <= run.lowest + rules.give_up * unit
    length = inside + jnp.where(promising, recorded.outside[epoch], 0)
    hit = recorded.hit[epoch]
    is_hit = (hit > 0) & (promising | (hit <= inside))
    # The ordinary basin hopping has its share.
    spent = jnp.where(is_hit, hit, length) / (1 - rules.walk_share)
    evaluations = run.evaluations + jnp.round(spent).astype(jnp.int32)
    reached = jnp.where(promising, recorded.lowest[epoch], energy)
    return ReplayedRun(
        key=key,
        evidence=add_epoch(run.evidence, group, energy, inside, jnp.asarray(True)),
        lowest=jnp.minimum(run.lowest, reached),
        epochs=run.epochs + 1,
        evaluations=evaluations,
        limit=run.limit,
        first_hit=jnp.where(is_hit, evaluations, -1),
    )
