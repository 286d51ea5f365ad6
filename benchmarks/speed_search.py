"""Time searches: CPU seconds on one core per lowest minimum found.

python benchmarks/speed_search.py --systems LJ-13,LJ-38 --out DIR

Writes DIR/search.json and prints a table. Searches start from random points and run
until they have found the minimum or used up their evaluations: those of hopgym on many
starts at a time, pele's basin hopping (`pip install pele`) on one after the other. The
CPU time of all starts, without compilation, is divided by the number of hits.

- `shake`: basin hopping as in pele: L-BFGS quenches, random displacements of all atoms,
  adaptive step size, Metropolis acceptance.
- `bh-lbfgs`, `bh-two-phase`: those of the zoo, with moves and quenches that pele lacks.
- `pele`: `pele.systems.LJCluster(n).get_basinhopping()` with its defaults, in double
  precision.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == "__main__":
    from benchmarks import start as start

import argparse
import contextlib
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import hopgym
from benchmarks.timing.external import import_optional
from benchmarks.timing.files import DEFAULT_FOLDER, OUT_HELP, choose_path, write_rows
from benchmarks.timing.process import pin_to_cores
from hopgym._cli.arguments import (
    Parser,
    parse_count,
    parse_names,
    parse_seed,
    parse_starts,
)
from hopgym._cli.devices import use_one_thread
from hopgym._cli.lookup import check_names, get_systems
from hopgym._cli.process import run as run_command
from hopgym._cli.provenance import format_command
from hopgym.optimizers import BasinHopping, Shake, make_optimizer
from hopgym.optimizers.basin_hopping import make_hop_quench

TOLERANCE = 0.1  # of a hit, in epsilon: less than the gap to the second lowest minimum


def make_shake(system: hopgym.System, steps: int) -> Any:
    """Basin hopping with one kind of move."""
    return BasinHopping(make_hop_quench(), Shake(0.36), 0.8, adaptation_rate=0.02)


def make_factory(name: str) -> Callable[[hopgym.System, int], Any]:
    """Make a factory of a search of the zoo."""
    return lambda system, steps: make_optimizer(name, system=system, steps=steps)


def search_in_batch(
    make: Callable[[hopgym.System, int], Any],
    system: hopgym.System,
    starts: int,
    steps: int,
    seed: int,
) -> tuple[float, int, int]:
    """Run searches of hopgym on all starts at a time.

    Replicas that have found the minimum continue with the others; this is not charged.

    **Returns:** CPU seconds; evaluations until first hits, or the end; number of hits.
    """
    environment = hopgym.Environment(system)
    used: list[float] = []
    result = hopgym.rollout(
        environment,
        make(system, steps),
        jax.random.key(seed),
        starts,
        steps,
        chunk=max(1, steps // 10),
        progress=lambda *_: used.append(time.process_time()),
    )
    # Without the first chunk, which may include some compilation.
    share = len(used) - 1
    seconds = (used[-1] - used[0]) / share * (share + 1)
    first = np.asarray(result.state.first_hit)
    hit = first >= 0
    evaluations = int(np.where(hit, first, steps).sum())
    return seconds * evaluations / (starts * steps), evaluations, int(hit.sum())


def search_with_pele(
    system: hopgym.System, starts: int, steps: int, seed: int
) -> tuple[float, int, int]:
    """Run pele's basin hopping from one start after the other.

    **Returns:** as `search_in_batch`.
    """
    cluster = import_optional("pele.systems", "pele").LJCluster(system.atoms)
    goal = float(system.reference) + TOLERANCE
    np.random.seed(seed)
    seconds, evaluations, hits = 0.0, 0, 0
    for _ in range(starts):
        started = time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            search = cluster.get_basinhopping(outstream=None)
            while search.result.nfev < steps and search.result.energy > goal:
                search.run(1)
        seconds += time.process_time() - started
        evaluations += search.result.nfev
        hits += search.result.energy <= goal
    return seconds, evaluations, hits


CONTENDERS: dict[str, Callable[..., tuple[float, int, int]]] = {
    "pele": search_with_pele,
    "shake": lambda *args: search_in_batch(make_shake, *args),
    "bh-lbfgs": lambda *args: search_in_batch(make_factory("bh-lbfgs"), *args),
    "bh-two-phase": lambda *args: search_in_batch(make_factory("bh-two-phase"), *args),
}


def make_parser() -> Parser:
    """Parser of all options."""
    parser = Parser(prog="speed_search.py", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add(
        "--systems",
        type=parse_names,
        default=["LJ-13", "LJ-38"],
        help="Lennard-Jones clusters",
    )
    add(
        "--contenders",
        type=parse_names,
        default=list(CONTENDERS),
        help=", ".join(CONTENDERS),
    )
    add("--starts", type=parse_starts, default=64, help="starts per search, default 64")
    add(
        "--steps",
        type=parse_count,
        default=50_000,
        help="maximum number of evaluations per start, default 50000",
    )
    add("--seed", type=parse_seed, default=0, help="random seed, default 0")
    add("--core", type=int, help="core to pin to, default: first allowed one")
    add("--out", type=Path, default=DEFAULT_FOLDER, metavar="DIR", help=OUT_HELP)
    return parser


def choose_systems(options: argparse.Namespace) -> list[hopgym.System]:
    """Choose the systems, and check the contenders.

    **Raises:** `ValueError` for unknown names, or if pele is a contender but not
    installed.
    """
    systems = get_systems(options.systems)
    for system in systems:
        if not system.name.startswith("LJ-"):
            raise ValueError(f"searches are compared on LJ clusters, not {system.name}")
    check_names("contender", options.contenders, CONTENDERS)
    if "pele" in options.contenders:
        import_optional("pele.systems", "pele")
    return systems


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, or 2 for invalid arguments."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    try:
        pin_to_cores(options.core, 1)
        use_one_thread()
        systems = choose_systems(options)
        path = choose_path(options.out, "search.json")
    except ValueError as error:
        parser.error(str(error))
    rows = []
    heads = ("system", "search", "hits", "evaluations", "CPU s", "CPU s per hit")
    print("{:<8}{:<14}{:>9}{:>16}{:>10}{:>16}".format(*heads))
    for system in systems:
        for name in options.contenders:
            seconds, evaluations, hits = CONTENDERS[name](
                system, options.starts, options.steps, options.seed
            )
            rows.append(
                {
                    "system": system.name,
                    "contender": name,
                    "starts": options.starts,
                    "hits": hits,
                    "evaluations": evaluations,
                    "evaluations_per_hit": evaluations / hits if hits else None,
                    "cpu_seconds": seconds,
                    "cpu_seconds_per_hit": seconds / hits if hits else None,
                }
            )
            per_hit = f"{seconds / hits:.4f}" if hits else "-"
            share = f"{hits}/{options.starts}"
            print(
                f"{system.name:<8}{name:<14}{share:>9}{evaluations:>16,}"
                f"{seconds:>10.2f}{per_hit:>16}",
                flush=True,
            )
    write_rows(
        path, format_command("python benchmarks/speed_search.py", arguments), rows
    )
    return 0


if __name__ == "__main__":
    run_command(main)
