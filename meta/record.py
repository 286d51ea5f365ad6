"""The command `python -m hopgym.meta.record`: epochs of searches in single groups.

A search that always chooses the same group is run for each group. Its epochs are cut
out: those that have ended, and the one that met the reference minimum, which is the
last of its run.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key, PRNGKeyArray

from hopgym import _sharding
from hopgym._cli.arguments import (
    Parser,
    format_duration,
    parse_count,
    parse_names,
    parse_seed,
    parse_starts,
)
from hopgym._cli.devices import use_all_cores
from hopgym._cli.process import run
from hopgym._cli.provenance import describe_run, format_command
from hopgym.environment import Environment, take_step
from hopgym.meta import epochs
from hopgym.meta.batched_unroll import ATOMS_AT_ONCE
from hopgym.meta.replayed_unroll import adapt_search
from hopgym.meta.unroll import check_loss
from hopgym.optimizers import learned
from hopgym.optimizers.symmetric_basin_hopping import SymmetricBasinHopping
from hopgym.optimizers.symmetry.choices.single import Single
from hopgym.optimizers.symmetry.progress import Phase
from hopgym.systems import System, get_system

# Of the epochs of a run.
FIELDS = {
    **dict.fromkeys(("energy", "lowest"), np.float32),
    **dict.fromkeys(("inside", "outside", "hit"), np.int32),
}
EXAMPLES = """\
examples:
  python -m hopgym.meta.record --systems LJ-31,LJ-38 --out runs/epochs
  python -m hopgym.meta.train --optimizer bh-symmetric --choice network \\
      --strategy sep-cma --loss first-hit --systems LJ-31,LJ-38 \\
      --epochs runs/epochs --unroll 20000 --out runs/choice
Systems that the folder has are left out.
"""


def record(
    system: System,
    search: SymmetricBasinHopping,
    key: PRNGKeyArray,
    *,
    runs: int = 12,
    steps: int = 5000,
) -> epochs.Epochs:
    """Record epochs of all groups of a search.

    The ordinary basin hopping between epochs is left out.

    **Arguments:**

    - `system`: must have a reference energy.
    - `search`: the search.
    - `key`: random key of starts and searches.
    - `runs`: number of runs of each group.
    - `steps`: evaluations of each run.

    **Raises:** `ValueError` if a group has no whole epoch within a run.
    """
    groups = len(search.subspaces.names)
    group = np.repeat(np.arange(groups, dtype=np.int32), runs)
    keys = jax.random.split(key, len(group))
    found = _follow(system, search, group, keys, steps)
    rows, owner = [], []
    for k, one in enumerate(group):
        cut = _cut({name: x[k] for name, x in found.items()})
        rows.append(cut)
        owner += [one] * len(cut["hit"])
    joined = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    return epochs.make_epochs(groups, joined, np.array(owner, np.int32))


def _follow(
    system: System,
    search: SymmetricBasinHopping,
    group: Int[np.ndarray, " runs"],
    keys: Key[Array, " runs"],
    steps: int,
) -> dict[str, np.ndarray]:
    """What a search of one group passes through, evaluation by evaluation."""
    environment = Environment(system)
    search = eqx.tree_at(lambda s: s.rules.walk_share, search, jnp.zeros(()))

    def choose(group):
        return dataclasses.replace(search, choice=Single(group))

    def begin(group, key):
        start_key, key = jax.random.split(key)
        positions = system.sample(start_key)
        state = environment.reset(key, positions)
        opt_state = choose(group).init(positions, key=key, context=environment.context)
        return state, opt_state

    def advance(group, run):
        state, opt_state = take_step(environment, choose(group), *run)
        progress = opt_state.progress
        is_hop = progress.phase == Phase.HOP
        return (state, opt_state), {
            "epoch": progress.epochs,
            "is_hop": is_hop,
            "is_inside": is_hop | (progress.phase == Phase.START),
            "best": progress.epoch.best_energy,
            "energy": state.energy,
            "first_hit": state.first_hit,
        }

    def follow(row):
        group, key = row
        _, passed = jax.lax.scan(
            lambda run, _: advance(group, run), begin(group, key), None, length=steps
        )
        return passed

    mesh = _sharding.make_mesh(len(group))
    size = max(1, ATOMS_AT_ONCE // system.atoms)

    def follow_all(group, keys):
        return jax.lax.map(follow, (group, keys), batch_size=size)

    sharded = jax.jit(_sharding.shard(follow_all, mesh, (True, True)))
    passed = sharded(_sharding.spread(group, mesh), _sharding.spread(keys, mesh))
    return _sharding.gather(passed, len(group), mesh)


def _cut(passed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Cut a run into epochs: fields of `Epochs`."""
    # The start is the first evaluation, and no step.
    met = int(passed["first_hit"][-1])
    is_met = met > 0
    end = met - 1 if is_met else len(passed["epoch"])
    passed = {name: x[:end] for name, x in passed.items()}
    first = np.flatnonzero(np.diff(passed["epoch"], prepend=0))
    # The last epoch is whole if it has met the minimum.
    last = len(first) if is_met else len(first) - 1
    if last < 1:
        return {name: np.zeros(0, kind) for name, kind in FIELDS.items()}
    length = np.diff(first, append=end)
    inside = np.add.reduceat(passed["is_inside"].astype(np.int32), first)
    # Before it is known where a hop ends, the lowest energy is that of those before;
    # the last hop of an epoch is in vain.
    known = np.where(passed["is_hop"], passed["best"], np.inf)
    hit = np.zeros(len(first), np.int32)
    if is_met:
        hit[-1] = length[-1]
    fields = {
        "energy": np.minimum.reduceat(known, first),
        "lowest": np.minimum.reduceat(passed["energy"], first),
        "inside": inside,
        "outside": length - inside,
        "hit": hit,
    }
    return {name: x[:last].astype(FIELDS[name]) for name, x in fields.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, or 2 for invalid arguments."""
    parser = Parser(
        prog="hopgym.meta.record",
        description="Record epochs of bh-symmetric in single groups.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--systems", metavar="A,B", type=parse_names, required=True)
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the epochs")
    own = "trained bh-symmetric, by name or file; default: not trained"
    add("--search", metavar="NAME", help=own)
    add("--runs", type=parse_starts, default=12, metavar="N", help="for each group")
    add("--steps", type=parse_count, default=5000, metavar="N", help="of each run")
    add(
        "--seed", type=parse_seed, default=0, metavar="N", help="random seed, default 0"
    )
    options = parser.parse_args(arguments)
    use_all_cores(one_thread_each=True)
    try:
        systems = [get_system(name) for name in options.systems]
        check_loss("first-hit", *systems)
        if options.search is None:
            search = learned.make_untrained("bh-symmetric", jax.random.key(0))
        else:
            search = learned.load(options.search)
        searches = [adapt_search(search, system) for system in systems]
        options.out.mkdir(parents=True, exist_ok=True)
    except (KeyError, ValueError, OSError) as error:
        parser.fail(error)
    provenance = describe_run(format_command("python -m hopgym.meta.record", arguments))
    for system, own in zip(systems, searches, strict=True):
        path = options.out / f"{system.name}{epochs.SUFFIX}"
        if path.exists():
            print(f"{path} exists", file=sys.stderr)
            continue
        # Every system has its own stream of random numbers.
        key = jax.random.fold_in(
            jax.random.key(options.seed), zlib.crc32(system.name.encode())
        )
        timer = time.perf_counter()
        try:
            found = record(system, own, key, runs=options.runs, steps=options.steps)
        except ValueError as error:
            parser.fail(error)
        header = {
            "system": system.name,
            "groups": list(own.subspaces.names),
            **provenance,
        }
        epochs.write(path, found, header)
        spent = format_duration(time.perf_counter() - timer)
        print(
            f"{path}: {len(found.hit):,} epochs, {np.sum(found.hit > 0):,} with the "
            f"minimum, in {spent}",
            file=sys.stderr,
            flush=True,
        )
    return 0


if __name__ == "__main__":
    run(main)
