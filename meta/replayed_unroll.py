"""Choices of groups played with recorded epochs instead of searches."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from hopgym import _sharding
from hopgym._converters import to_float
from hopgym.meta import epochs
from hopgym.meta.batched_unroll import POLICY_STREAM, advance_open, make_key
from hopgym.meta.epochs import Epochs
from hopgym.meta.unroll import Outcome, check_withheld, hit_loss
from hopgym.optimizers.base import adapt
from hopgym.optimizers.symmetric_basin_hopping import SymmetricBasinHopping
from hopgym.optimizers.symmetry.choices.base import AbstractChoice, Situation
from hopgym.optimizers.symmetry.choices.experience import ByExperience
from hopgym.optimizers.symmetry.choices.network import ByNetwork
from hopgym.optimizers.symmetry.choices.traits import describe_groups
from hopgym.optimizers.symmetry.evidence import (
    Evidence,
    add_end,
    add_epoch,
    make_evidence,
)
from hopgym.optimizers.symmetry.point_groups import FAMILIES, list_point_groups
from hopgym.systems import System

ROWS_AT_ONCE = 256  # advance together on a CPU
EPOCHS_AT_ONCE = 16  # after which the runs that are still open are gathered again
FEWEST_HITS = 3  # that other families must have if those of one do not count


class ReplayedRun(eqx.Module):
    """State of a search whose epochs are drawn from recorded ones.

    **Attributes:**

    - `key`: random key of what follows.
    - `system`: index of the system.
    - `withheld`: index of the family whose hits do not count, -1 for none.
    - `evidence`: what the epochs have found.
    - `lowest`: lowest energy of all epochs.
    - `counted`: that of epochs whose hits count.
    - `epochs`, `evaluations`: numbers so far.
    - `limit`: number of evaluations at which to stop.
    - `first_hit`: number of evaluations at the first hit, -1 before it.
    """

    key: PRNGKeyArray
    system: Int[Array, "*batch"]
    withheld: Int[Array, "*batch"]
    evidence: Evidence
    lowest: Float[Array, "*batch"]
    counted: Float[Array, "*batch"]
    epochs: Int[Array, "*batch"]
    evaluations: Int[Array, "*batch"]
    limit: Int[Array, "*batch"]
    first_hit: Int[Array, "*batch"]

    @property
    def is_open(self) -> Bool[Array, "*batch"]:
        return (self.first_hit < 0) & (self.evaluations < self.limit)


class Record(eqx.Module):
    """Recorded epochs of several systems.

    **Attributes:**

    - `epochs`: of all systems; `first` has a row for each.
    - `family`: index of the family of each group.
    - `withholdable`: whether the hits of a family may not count: others have some.
    - `traits`: of the groups, see `describe_groups`.
    - `unit`: units of energy.
    - `others`: 1 for the known systems that are others than each, 0 for itself.
    """

    epochs: Epochs
    family: Int[Array, " groups"]
    withholdable: Bool[Array, "systems families"]
    traits: Float[Array, "systems groups traits"]
    unit: Float[Array, " systems"]
    others: Float[Array, "systems known"]


class ReplayedUnroll:
    """Runs many choices of groups on recorded epochs of several systems at once.

    Every epoch is one of those that were recorded of the chosen group, drawn at random.
    This takes a hundredth of the time of a search, and leaves out what it has beside
    epochs, the ordinary basin hopping, but for its evaluations. Rows are as in
    [`hopgym.meta.BatchedUnroll`][].

    Of a few systems, one family of groups would be best at nearly all, and a choice
    that has learned this fails at the next exception. Therefore the hits of a family,
    drawn at random, need not count: its epochs look as good as ever, and the minimum
    has to be found by other groups.

    **Arguments:**

    - `systems`: the systems, all with the same groups.
    - `architecture`: a learned `bh-symmetric`; its trained arrays are replaced by
      weights.
    - `folder`: folder of the recorded epochs.
    - `withheld`: fraction of the runs in which the hits of one family do not count.
    - `known`: names of the systems whose rates the search knows, if it does. Runs on
      one of these make no use of its own rates.
    - `trained`: filter of the trained arrays, see `equinox.partition`.
    - `devices`: by default all.

    **Raises:** `ValueError` if the search chooses no groups on a system, the folder has
    no epochs of these, or none with a hit, or `withheld` is no fraction.
    """

    def __init__(
        self,
        systems: Sequence[System],
        architecture: Any,
        folder: Path,
        *,
        withheld: float = 0.0,
        known: Sequence[str] = (),
        trained: Any = eqx.is_inexact_array,
        devices: Sequence[Any] | None = None,
    ):
        check_withheld(withheld)
        self._systems = list(systems)
        self._record = make_record(systems, architecture, folder, known)
        self._mesh = _sharding.make_mesh(devices=devices)
        first_device = (devices or jax.devices())[0]
        _, frozen = eqx.partition(architecture, trained)
        groups, dtype = len(self._record.family), self._record.epochs.energy.dtype

        def init(record, words, index, system):
            def one(i, system):
                key = make_key(words, POLICY_STREAM, i)
                key, when_key, which_key = jax.random.split(key, 3)
                families = record.withholdable.shape[1]
                family = jax.random.randint(which_key, (), 0, families)
                is_withheld = jax.random.uniform(when_key) < withheld
                is_withheld = is_withheld & record.withholdable[system, family]
                zero = jnp.zeros((), jnp.int32)
                return ReplayedRun(
                    key=key,
                    system=system,
                    withheld=jnp.where(is_withheld, family, -1),
                    evidence=make_evidence(groups, dtype),
                    lowest=jnp.full((), jnp.inf, dtype),
                    counted=jnp.full((), jnp.inf, dtype),
                    epochs=zero,
                    evaluations=zero,
                    limit=zero,
                    first_hit=zero - 1,
                )

            return jax.vmap(one)(index, system)

        def advance(record, weights, runs, steps):
            def one(weights, run):
                search = adapt(eqx.combine(weights, frozen), systems[0])
                choice = _choose_as(search.choice, record, run.system)
                search = dataclasses.replace(search, choice=choice)
                last = run.epochs + EPOCHS_AT_ONCE
                return jax.lax.while_loop(
                    lambda run: run.is_open & (run.epochs < last),
                    lambda run: _play_epoch(run, search, record),
                    run,
                )

            runs = eqx.tree_at(lambda r: r.limit, runs, runs.limit + steps)
            size = ROWS_AT_ONCE if first_device.platform == "cpu" else len(runs.limit)
            return jax.lax.while_loop(
                lambda runs: jnp.any(runs.is_open),
                lambda runs: advance_open(
                    jax.vmap(one), weights, runs, runs.is_open, size
                ),
                runs,
            )

        def jit(function, *batched: bool):
            return jax.jit(_sharding.shard(function, self._mesh, batched))

        self._init = jit(init, False, False, True, True)
        self._advance = jit(advance, False, True, True, False)

    def begin(
        self,
        key: PRNGKeyArray,
        weights: PyTree[Array],
        instances: np.ndarray,
        systems: np.ndarray,
    ) -> ReplayedRun:
        """Initialise runs.

        **Arguments:**

        - `key`: random key.
        - `weights`: unused, as in [`hopgym.meta.BatchedUnroll`][].
        - `instances`: rows with the same number have the same random numbers.
        - `systems`: index of the system of each row.
        """
        words = np.asarray(jax.random.key_data(key))
        rows = (instances, systems.astype(np.int32))
        return self._init(self._record, words, *_sharding.spread(rows, self._mesh))

    def advance(
        self, weights: PyTree[Array], runs: ReplayedRun, steps: int
    ) -> ReplayedRun:
        """Advance the runs by about `steps` evaluations, to the end of an epoch."""
        spread = _sharding.spread(weights, self._mesh)
        done = self._advance(self._record, spread, runs, np.int32(steps))
        return jax.block_until_ready(done)

    def losses(self, runs: ReplayedRun, rows: int, steps: int, kind: str) -> np.ndarray:
        """Losses of the first `rows` runs: those of first hits within `steps`."""
        first_hit, lowest, index = self._gather(runs, rows)
        found = np.zeros(rows)
        for k, system in enumerate(self._systems):
            own = index == k
            is_early = first_hit[own] <= steps
            early = jnp.asarray(np.where(is_early, first_hit[own], -1))
            found[own] = hit_loss(early, jnp.asarray(lowest[own]), steps, system, kind)
        return found

    def judge(self, runs: ReplayedRun, rows: int) -> Outcome:
        """Outcomes of the first `rows` runs; no structure is polished."""
        first_hit, lowest, _ = self._gather(runs, rows)
        energy = jnp.asarray(lowest)
        return Outcome(energy, energy, jnp.asarray(first_hit > 0))

    def _gather(self, runs: ReplayedRun, rows: int) -> tuple[np.ndarray, ...]:
        wanted = runs.first_hit, runs.counted, runs.system
        return _sharding.gather(wanted, rows, self._mesh)


def make_record(
    systems: Sequence[System],
    architecture: Any,
    folder: Path,
    known: Sequence[str] = (),
) -> Record:
    """Read the epochs of systems that have the same groups.

    Arguments are those of `ReplayedUnroll`.

    **Raises:** `ValueError` if the search chooses no groups on a system, the folder has
    no epochs of these, or none with a hit, or the groups of the systems differ.
    """
    search = adapt_search(architecture, systems[0])
    names, count = search.subspaces.names, _count_known(search.choice)
    if known and count and count != len(known):
        raise ValueError(
            f"the search knows rates of {count} systems, and {len(known)} names were "
            "given"
        )
    if count and any(set(known) == {system.name} for system in systems):
        raise ValueError(
            f"the search knows rates of {known[0]} alone, which are not used there: "
            "let it know other systems"
        )
    kinds = {group.name: group.family for group in list_point_groups()}
    families = [kinds.get(name, "other") for name in names]
    family = np.array([FAMILIES.index(one) for one in families], np.int32)
    read, traits, withholdable = [], [], []
    for system in systems:
        subspaces = adapt_search(architecture, system).subspaces
        if subspaces.names != names:
            raise ValueError(f"{system.name}: other groups than {systems[0].name}")
        own = epochs.read(folder, system.name, list(names))
        read.append(own)
        traits.append(describe_groups(subspaces, system.atoms))
        owner = np.repeat(family, np.diff(own.first))
        hits = np.bincount(owner[own.hit > 0], minlength=len(FAMILIES))
        withholdable.append(hits.sum() - hits >= FEWEST_HITS)
    start = np.cumsum([0, *(len(own.hit) for own in read)])[:-1]
    first = np.stack([own.first + at for own, at in zip(read, start, strict=True)])
    columns = {
        field.name: jnp.asarray(np.concatenate([getattr(o, field.name) for o in read]))
        for field in dataclasses.fields(Epochs)
        if field.name != "first"
    }
    dtype = read[0].energy.dtype
    return Record(
        epochs=Epochs(first=jnp.asarray(first, jnp.int32), **columns),
        family=jnp.asarray(family),
        withholdable=jnp.asarray(np.stack(withholdable)),
        traits=jnp.stack(traits),
        unit=jnp.asarray([system.energy_unit for system in systems], dtype),
        others=to_float(
            [[float(name != system.name) for name in known] for system in systems]
        ),
    )


def adapt_search(architecture: Any, system: System) -> SymmetricBasinHopping:
    """A search that chooses groups, for a system.

    **Raises:** `ValueError` if it chooses none there.
    """
    own = adapt(architecture, system)
    if not isinstance(own, SymmetricBasinHopping):
        raise ValueError(f"{system.name}: the search chooses no groups there")
    return own


def sort_by_groups(architecture: Any, systems: Sequence[System]) -> list[list[int]]:
    """Indices of the systems that have the same groups, which can be played together.

    **Raises:** `ValueError` if the search chooses no groups on a system.
    """
    found: dict[tuple[str, ...], list[int]] = {}
    for k, system in enumerate(systems):
        names = adapt_search(architecture, system).subspaces.names
        found.setdefault(names, []).append(k)
    return list(found.values())


def _choose_as(
    choice: AbstractChoice, record: Record, system: Int[Array, ""]
) -> AbstractChoice:
    """The choice of the search on one of the systems of a record."""
    if isinstance(choice, ByNetwork):
        base = _choose_as(choice.base, record, system)
        return dataclasses.replace(choice, traits=record.traits[system], base=base)
    if isinstance(choice, ByExperience) and record.others.shape[1]:
        return dataclasses.replace(choice, weights=record.others[system])
    return choice


def _count_known(choice: AbstractChoice) -> int:
    if isinstance(choice, ByNetwork):
        return _count_known(choice.base)
    return len(choice.rates) if isinstance(choice, ByExperience) else 0


def _play_epoch(
    run: ReplayedRun, search: SymmetricBasinHopping, record: Record
) -> ReplayedRun:
    key, choice_key, epoch_key = jax.random.split(run.key, 3)
    rules, recorded, unit = search.rules, record.epochs, record.unit[run.system]
    situation = Situation(
        search.subspaces.logits, run.evidence, unit, run.evaluations, run.epochs
    )
    group = search.choice.choose(choice_key, rules, situation).group
    first = recorded.first[run.system]
    epoch = jax.random.randint(epoch_key, (), first[group], first[group + 1])
    energy, inside = recorded.energy[epoch], recorded.inside[epoch]
    promising = energy <= run.lowest + rules.give_up * unit
    length = inside + jnp.where(promising, recorded.outside[epoch], 0)
    hit = recorded.hit[epoch]
    counts = record.family[group] != run.withheld
    is_hit = counts & (hit > 0) & (promising | (hit <= inside))
    # The ordinary basin hopping has its share.
    spent = jnp.where(is_hit, hit, length) / (1 - rules.walk_share)
    evaluations = run.evaluations + jnp.round(spent).astype(jnp.int32)
    reached = jnp.where(promising, recorded.lowest[epoch], energy)
    ended = jnp.asarray(True)
    evidence = add_epoch(run.evidence, group, energy, inside, ended)
    return ReplayedRun(
        key=key,
        system=run.system,
        withheld=run.withheld,
        evidence=add_end(evidence, group, reached, unit, ended),
        lowest=jnp.minimum(run.lowest, reached),
        counted=jnp.where(counts, jnp.minimum(run.counted, reached), run.counted),
        epochs=run.epochs + 1,
        evaluations=evaluations,
        limit=run.limit,
        first_hit=jnp.where(is_hit, evaluations, -1),
    )
