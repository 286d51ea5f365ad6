"""What a quench costs: CPU time on one core, for many structures.

python benchmarks/speed_quench.py --systems LJ-38,LJ-75 --structures 1000 --out DIR

Writes DIR/quench.json and prints a table. The same random structures are quenched by
L-BFGS, contenders by turns in every round; compilation is not counted.

- `native`, `xla`: `hopgym.quench`, with kernels and with JAX only.
- `pele`: `pele.optimize.lbfgs_cpp`, one structure after the other (LJ clusters only).

All compute in double precision and stop at about the same force: ours when the largest
on an atom is below 1e-3 units, pele when the root mean square over coordinates is below
1e-3 / sqrt(3), which is then at the latest.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from contenders import Nonsense, by
from peers import SIGMA, package
from speed import one_thread, pin, prepare, save

from hopgym._cli.arguments import Parser

FORCE = 1e-3


def by_hopgym(backend: str, system, positions) -> Callable[[], tuple]:
    """Energies and evaluations of the quenches when called."""
    import jax

    import hopgym
    from hopgym.optimizers import LBFGS

    optimizer = LBFGS(force=FORCE)
    jax.clear_caches()  # of what was made for another backend
    quenched = by(backend, lambda x: hopgym.quench(system, x, optimizer=optimizer))
    quench = jax.jit(quenched).lower(positions).compile()

    def run():
        found = quench(positions)
        return np.asarray(found.energy), np.asarray(found.evaluations)

    return run


def by_pele(system, positions) -> Callable[[], tuple]:
    """The same by pele."""
    potential = package("pele.potentials", "pele").LJ(eps=1.0, sig=SIGMA)
    quench = package("pele.optimize", "pele").lbfgs_cpp
    tolerance = FORCE * float(system.energy_unit / system.length) / 3**0.5
    starts = np.asarray(positions).reshape(len(positions), -1) / float(system.length)

    def run():
        found = [quench(start, potential, tol=tolerance) for start in starts]
        energies, evaluations = zip(*((x.energy, x.nfev) for x in found), strict=True)
        return np.asarray(energies), np.asarray(evaluations)

    return run


CONTENDERS = ("native", "xla", "pele")


def parser() -> Parser:
    """The command line."""
    result = Parser(prog="speed_quench.py", description=(__doc__ or "").splitlines()[0])
    add = result.add_argument
    add("--systems", default="LJ-13,LJ-38,LJ-75", help="names, separated by commas")
    add("--contenders", default=",".join(CONTENDERS), help=", ".join(CONTENDERS))
    add("--structures", type=int, default=1000)
    add("--rounds", type=int, default=3)
    add("--core", type=int, help="to be pinned to (default: the first allowed)")
    add("--out", type=Path, default=Path("results/speed"), metavar="DIR")
    return result


def chosen(options) -> list[tuple[Any, dict[str, Callable]]]:
    """Systems, and what quenches their structures.

    **Raises:** `Nonsense` for what is unknown or not installed.
    """
    import jax

    from hopgym import get_system
    from hopgym._suggest import unknown_name

    names = options.contenders.split(",")
    for name in names:
        if name not in CONTENDERS:
            raise Nonsense(unknown_name("contender", name, list(CONTENDERS)))
    if min(options.structures, options.rounds) < 1:
        raise Nonsense("--structures and --rounds must be positive")
    found = []
    for system_name in options.systems.split(","):
        try:
            system = get_system(system_name)
        except (KeyError, ValueError) as error:
            raise Nonsense(error.args[0]) from None
        if "pele" in names and not system.name.startswith("LJ-"):
            raise Nonsense(f"pele is compared on LJ clusters, not {system.name}")
        keys = jax.random.split(jax.random.key(0), options.structures)
        positions = jax.jit(jax.vmap(lambda key, s=system: s.sample(key)))(keys)
        try:
            quenches = {
                name: by_pele(system, positions)
                if name == "pele"
                else by_hopgym(name, system, positions)
                for name in names
            }
        except RuntimeError as error:  # no kernels
            raise Nonsense(error.args[0]) from None
        found.append((system, quenches))
    return found


def rows_of(system, quenches: dict[str, Callable], rounds: int) -> list[dict[str, Any]]:
    """What was measured of each contender."""
    found = {name: run() for name, run in quenches.items()}
    seconds: dict[str, list[float]] = {name: [] for name in quenches}
    for _ in range(rounds):
        for name, run in quenches.items():
            begun = time.process_time()
            run()
            seconds[name].append(time.process_time() - begun)
    rows = []
    for name, (energies, evaluations) in found.items():
        spent = int(evaluations.sum())
        rows.append(
            {
                "system": system.name,
                "contender": name,
                "structures": len(energies),
                "mean_energy": float(energies.mean()),
                "evaluations_per_quench": spent / len(energies),
                "cpu_ms_per_quench": 1e3 * median(seconds[name]) / len(energies),
                "cpu_us_per_evaluation": 1e6 * median(seconds[name]) / spent,
            }
        )
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; the exit code: 0, or 2 for nonsense."""
    options = parser().parse_args(arguments)
    try:
        pin(options.core, 1)
        one_thread()
        import jax

        jax.config.update("jax_enable_x64", True)
        contest = chosen(options)
        path = options.out / "quench.json"
        prepare(path)
    except Nonsense as error:
        print(f"speed_quench.py: {error}", file=sys.stderr)
        return 2
    heads = ("system", "contender", "mean energy", "evaluations", "CPU ms", "us each")
    print("{:<12}{:<11}{:>12}{:>13}{:>10}{:>10}".format(*heads))
    rows = []
    for system, quenches in contest:
        fresh = rows_of(system, quenches, options.rounds)
        for row in fresh:
            print(
                f"{system.name:<12}{row['contender']:<11}{row['mean_energy']:>12.4f}"
                f"{row['evaluations_per_quench']:>13.1f}"
                f"{row['cpu_ms_per_quench']:>10.3f}{row['cpu_us_per_evaluation']:>10.2f}",
                flush=True,
            )
        rows += fresh
    words = sys.argv[1:] if arguments is None else arguments
    save(path, ["benchmarks/speed_quench.py", *words], rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
