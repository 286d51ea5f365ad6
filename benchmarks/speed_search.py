"""What a search costs: CPU seconds on one core until it finds the lowest minimum.

python benchmarks/speed_search.py --systems LJ-13,LJ-38 --out DIR

Writes DIR/search.json and prints a table. Our searches run on many starts at a time,
and pele's basin hopping (`pip install pele`) on one after the other, from random
points, until each has found the minimum or has used its evaluations. The CPU time of
all, without compilation, is divided by the number that found it.

- `shake`: basin hopping as pele does it: L-BFGS, all atoms displaced at random, step
  adapted, Metropolis acceptance.
- `bh-lbfgs`, `bh-two-phase`: the zoo's, with moves and quenches that pele lacks.
- `pele`: `pele.systems.LJCluster(n).get_basinhopping()` as it comes, in double
  precision.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from contenders import Nonsense
from peers import package
from speed import one_thread, pin, prepare, save

from hopgym._cli.arguments import Parser

TOLERANCE = 0.1  # above the lowest minimum and below the next one


def shake(system, steps: int) -> Any:
    """Basin hopping with one kind of move."""
    from hopgym.optimizers import BasinHopping, Shake
    from hopgym.optimizers.basin_hopping import make_hop_quench

    return BasinHopping(make_hop_quench(), Shake(0.36), 0.8, adaptation_rate=0.02)


def of_zoo(name: str) -> Callable[[Any, int], Any]:
    """A search by its name."""

    def make(system, steps: int) -> Any:
        from hopgym.optimizers import make_optimizer

        return make_optimizer(name, system=system, steps=steps)

    return make


def in_batch(
    make: Callable[[Any, int], Any], system, starts: int, steps: int, seed: int
):
    """CPU seconds, evaluations until the hits or the end, and hits, of our searches.

    A replica that has found the minimum goes on with the others, which is not charged.
    """
    import jax

    import hopgym

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
    # Without the first chunk, in which something may still be compiled.
    share = len(used) - 1
    seconds = (used[-1] - used[0]) / share * (share + 1)
    first = np.asarray(result.state.first_hit)
    hit = first >= 0
    evaluations = int(np.where(hit, first, steps).sum())
    return seconds * evaluations / (starts * steps), evaluations, int(hit.sum())


def by_pele(system, starts: int, steps: int, seed: int):
    """The same of pele's basin hopping."""
    cluster = package("pele.systems", "pele").LJCluster(system.atoms)
    goal = float(system.reference) + TOLERANCE
    np.random.seed(seed)
    seconds, evaluations, hits = 0.0, 0, 0
    for _ in range(starts):
        begun = time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            search = cluster.get_basinhopping(outstream=None)
            while search.result.nfev < steps and search.result.energy > goal:
                search.run(1)
        seconds += time.process_time() - begun
        evaluations += search.result.nfev
        hits += search.result.energy <= goal
    return seconds, evaluations, hits


CONTENDERS: dict[str, Callable] = {
    "pele": by_pele,
    "shake": lambda *of: in_batch(shake, *of),
    "bh-lbfgs": lambda *of: in_batch(of_zoo("bh-lbfgs"), *of),
    "bh-two-phase": lambda *of: in_batch(of_zoo("bh-two-phase"), *of),
}


def parser() -> Parser:
    """The command line."""
    result = Parser(prog="speed_search.py", description=(__doc__ or "").splitlines()[0])
    add = result.add_argument
    add("--systems", default="LJ-13,LJ-38", help="Lennard-Jones clusters")
    add("--contenders", default=",".join(CONTENDERS), help=", ".join(CONTENDERS))
    add("--starts", type=int, default=64, help="of each search, default 64")
    add("--steps", type=int, default=50_000, help="evaluations at most of each start")
    add("--seed", type=int, default=0)
    add("--core", type=int, help="to be pinned to (default: the first allowed)")
    add("--out", type=Path, default=Path("results/speed"), metavar="DIR")
    return result


def chosen(options: argparse.Namespace) -> tuple[list[Any], list[str]]:
    """Systems and names of contenders.

    **Raises:** `Nonsense` for unknown ones, and without pele if that takes part.
    """
    from hopgym import get_system
    from hopgym._suggest import unknown_name

    try:
        systems = [get_system(name) for name in options.systems.split(",")]
    except (KeyError, ValueError) as error:
        raise Nonsense(error.args[0]) from None
    for system in systems:
        if not system.name.startswith("LJ-"):
            raise Nonsense(f"searches are compared on LJ clusters, not {system.name}")
    names = options.contenders.split(",")
    for name in names:
        if name not in CONTENDERS:
            raise Nonsense(unknown_name("contender", name, list(CONTENDERS)))
    if "pele" in names:
        package("pele.systems", "pele")
    if min(options.starts, options.steps) < 1:
        raise Nonsense("--starts and --steps must be positive")
    return systems, names


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; the exit code: 0, or 2 for nonsense."""
    options = parser().parse_args(arguments)
    try:
        pin(options.core, 1)
        one_thread()
        systems, names = chosen(options)
        path = options.out / "search.json"
        prepare(path)
    except Nonsense as error:
        print(f"speed_search.py: {error}", file=sys.stderr)
        return 2
    rows = []
    heads = ("system", "search", "hits", "evaluations", "CPU s", "CPU s per hit")
    print("{:<8}{:<14}{:>9}{:>16}{:>10}{:>16}".format(*heads))
    for system in systems:
        for name in names:
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
    words = sys.argv[1:] if arguments is None else arguments
    save(path, ["benchmarks/speed_search.py", *words], rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
