"""Time quenches of many structures: CPU time on one core.

python benchmarks/speed_quench.py --systems LJ-38,LJ-75 --structures 1000 --out DIR

Writes DIR/quench.json and prints a table. All contenders quench the same random
structures by L-BFGS, in turn in every round; compilation is not counted.

- `native`, `xla`: `hopgym.quench`, with kernels and in JAX only.
- `pele`: `pele.optimize.lbfgs_cpp`, one structure after the other (LJ clusters only).

All compute in double precision and stop at about the same force: hopgym when the
largest force on an atom is below 1e-3 units; pele when the root mean square over
coordinates is below 1e-3 / sqrt(3), a criterion that is met no later.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == "__main__":
    from benchmarks import start as start

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import jax
import numpy as np

import hopgym
from benchmarks.timing.external import SIGMA, import_optional
from benchmarks.timing.files import DEFAULT_FOLDER, OUT_HELP, choose_path, write_rows
from benchmarks.timing.implementations import Unsupported, trace_for
from benchmarks.timing.process import pin_to_cores
from hopgym._cli.arguments import Parser, parse_count, parse_names, parse_starts
from hopgym._cli.devices import use_one_thread
from hopgym._cli.lookup import check_names, get_systems
from hopgym._cli.process import run as run_command
from hopgym._cli.provenance import format_command
from hopgym.optimizers import LBFGS

# Quenches all structures, and returns energies and evaluations.
Quench = Callable[[], tuple[np.ndarray, np.ndarray]]

FORCE = 1e-3  # largest force at convergence, in units of energy / length


def compile_hopgym(backend: str, system: hopgym.System, positions: jax.Array) -> Quench:
    """Compile `hopgym.quench` for a batch."""
    optimizer = LBFGS(force=FORCE)
    quenched = trace_for(
        backend, lambda x: hopgym.quench(system, x, optimizer=optimizer)
    )
    quench = jax.jit(quenched).lower(positions).compile()

    def run():
        found = quench(positions)
        return np.asarray(found.energy), np.asarray(found.evaluations)

    return run


def prepare_pele(system: hopgym.System, positions: jax.Array) -> Quench:
    """Prepare quenches by pele, one after the other."""
    potential = import_optional("pele.potentials", "pele").LJ(eps=1.0, sig=SIGMA)
    quench = import_optional("pele.optimize", "pele").lbfgs_cpp
    tolerance = FORCE * float(system.energy_unit / system.length) / 3**0.5
    starts = np.asarray(positions).reshape(len(positions), -1) / float(system.length)

    def run():
        found = [quench(start, potential, tol=tolerance) for start in starts]
        energies, evaluations = zip(*((x.energy, x.nfev) for x in found), strict=True)
        return np.asarray(energies), np.asarray(evaluations)

    return run


CONTENDERS = ("native", "xla", "pele")


def make_parser() -> Parser:
    """Parser of all options."""
    parser = Parser(prog="speed_quench.py", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--systems", type=parse_names, default=["LJ-13", "LJ-38", "LJ-75"])
    add(
        "--contenders",
        type=parse_names,
        default=list(CONTENDERS),
        help=", ".join(CONTENDERS),
    )
    add("--structures", type=parse_starts, default=1000, help="default 1000")
    add("--rounds", type=parse_count, default=3, help="default 3")
    add("--core", type=int, help="core to pin to, default: first allowed one")
    add("--out", type=Path, default=DEFAULT_FOLDER, metavar="DIR", help=OUT_HELP)
    return parser


def prepare_quenches(
    options: argparse.Namespace,
) -> list[tuple[hopgym.System, dict[str, Quench]]]:
    """Prepare the quenches of each system by all contenders.

    **Raises:** `ValueError` for unknown names, and contenders that are not installed or
    cannot compute a system.
    """
    names = options.contenders
    check_names("contender", names, CONTENDERS)
    found = []
    for system in get_systems(options.systems):
        if "pele" in names and not system.name.startswith("LJ-"):
            raise Unsupported(f"pele is compared on LJ clusters, not {system.name}")
        keys = jax.random.split(jax.random.key(0), options.structures)
        positions = jax.jit(jax.vmap(lambda key, s=system: s.sample(key)))(keys)
        try:
            quenches = {
                name: prepare_pele(system, positions)
                if name == "pele"
                else compile_hopgym(name, system, positions)
                for name in names
            }
        except RuntimeError as error:  # no kernels
            raise ValueError(error.args[0]) from None
        found.append((system, quenches))
    return found


def measure(
    system: hopgym.System, quenches: dict[str, Quench], rounds: int
) -> list[dict[str, Any]]:
    """Measure all contenders: one row for each."""
    found = {name: run() for name, run in quenches.items()}
    seconds: dict[str, list[float]] = {name: [] for name in quenches}
    for _ in range(rounds):
        for name, run in quenches.items():
            started = time.process_time()
            run()
            seconds[name].append(time.process_time() - started)
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
    """Run the command and return its exit code: 0, or 2 for invalid arguments."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    try:
        pin_to_cores(options.core, 1)
        use_one_thread()
        jax.config.update("jax_enable_x64", True)
        prepared = prepare_quenches(options)
        path = choose_path(options.out, "quench.json")
    except ValueError as error:
        parser.error(str(error))
    heads = ("system", "contender", "mean energy", "evaluations", "CPU ms", "us each")
    print("{:<12}{:<11}{:>12}{:>13}{:>10}{:>10}".format(*heads))
    rows = []
    for system, quenches in prepared:
        fresh = measure(system, quenches, options.rounds)
        for row in fresh:
            print(
                f"{system.name:<12}{row['contender']:<11}{row['mean_energy']:>12.4f}"
                f"{row['evaluations_per_quench']:>13.1f}"
                f"{row['cpu_ms_per_quench']:>10.3f}{row['cpu_us_per_evaluation']:>10.2f}",
                flush=True,
            )
        rows += fresh
    write_rows(
        path, format_command("python benchmarks/speed_quench.py", arguments), rows
    )
    return 0


if __name__ == "__main__":
    run_command(main)
