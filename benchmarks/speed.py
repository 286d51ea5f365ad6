"""Time evaluations and learned steps of several implementations ("contenders").

python benchmarks/speed.py --systems LJ-75,Gupta-Au55 --contenders xla,jax-md
python benchmarks/speed.py --what learned-step --systems LJ-13,LJ-38,LJ-75
python benchmarks/speed.py --what radial
python benchmarks/speed.py --systems LJ-13,LJ-75 --batch 1280 --cores 2

Writes DIR/speed.json and prints a table. Protocol:

- The process is pinned to one core, without XLA's thread pool. Times are CPU times of
  the process; wall times and CPU/wall are reported as well.
- In every round each contender runs for about `--seconds`. Ratios of times are formed
  within rounds; the median, smallest and largest are reported. The base also competes
  with a second compilation of itself, which shows the noise.
- Evaluations are steps of a compiled loop, as in a rollout, and include the energy. The
  overhead of calls from Python and the compilation are not counted.
- All contenders have the same precision and the same structures: harmonic starts after
  a few steps of descent.
- Before timing, the forces and trajectories of 50 steps of all contenders are compared;
  for learned steps, one displacement and 20 (in single precision, for 95% of 1,000
  replicas). It is an error if contenders disagree.
- On several cores (`--cores`), kernels use up to as many threads, times are wall times,
  and the base is the same kernel on one thread. Another row runs the two halves of the
  batch in turn on one thread, which shows the effect of the batch size.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == "__main__":
    from benchmarks import start as start

import argparse
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from benchmarks.timing.compare import (
    AGREEMENT,
    Disagreement,
    Settings,
    measure_system,
)
from benchmarks.timing.files import DEFAULT_FOLDER, OUT_HELP, choose_path, write_rows
from benchmarks.timing.process import pin_to_cores
from benchmarks.timing.quantities import (
    QUANTITIES,
    Contest,
    choose_contest,
    spread_over_cores,
)
from hopgym import System
from hopgym._cli.arguments import (
    Parser,
    parse_count,
    parse_names,
    parse_positive,
    parse_starts,
)
from hopgym._cli.devices import use_one_thread
from hopgym._cli.lookup import get_systems
from hopgym._cli.process import run as run_command
from hopgym._cli.provenance import format_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0: measured. 1: contenders disagree. 2: invalid arguments; nothing was measured.
    """
    parser = make_parser()
    options = parser.parse_args(arguments)
    try:
        pin_to_cores(options.core, options.cores)
        if options.cores == 1:
            use_one_thread()
        jax.config.update("jax_enable_x64", options.dtype == "float64")
        # jax-md requests float64 in every trace.
        warnings.filterwarnings("ignore", message="Explicitly requested dtype")
        contests = choose_contests(options)
        path = choose_path(options.out, "speed.json")
    except ValueError as error:
        parser.error(str(error))
    settings = Settings(
        options.what, options.dtype, options.cores, options.rounds, options.seconds
    )
    rows: list[dict[str, Any]] = []
    try:
        for system, contest in contests:
            for batch in options.batch:
                fresh = measure_system(system, contest, batch, settings)
                print("\n".join(format_rows(fresh, with_head=not rows)), flush=True)
                rows += fresh
    except Disagreement as error:
        print(f"speed.py: {error}", file=sys.stderr)
        return 1
    protocol = (__doc__ or "").split("Protocol:\n\n")[1].strip()
    command = format_command("python benchmarks/speed.py", arguments)
    write_rows(path, command, rows, protocol=protocol)
    return 0


def make_parser() -> Parser:
    """Parser of all options."""
    parser = Parser(prog="speed.py", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--what", choices=list(QUANTITIES), default="energy", help="default energy")
    add("--systems", type=parse_names, metavar="A,B", help="names of systems")
    add(
        "--contenders",
        type=parse_names,
        metavar="A,B",
        help="; ".join(
            f"for {name}: {', '.join(quantity.known)}"
            for name, quantity in QUANTITIES.items()
        ),
    )
    add("--rounds", type=parse_count, default=5, help="number of rounds, default 5")
    add(
        "--batch",
        type=parse_counts,
        default=[80],
        metavar="N,N",
        help="numbers of replicas, default 80",
    )
    add(
        "--seconds",
        type=parse_positive,
        default=0.3,
        help="time per contender and round, default 0.3",
    )
    add("--dtype", choices=sorted(AGREEMENT), default="float32", help="precision")
    add("--core", type=int, help="first core to pin to, default: first allowed one")
    add("--cores", type=parse_count, default=1, help="cores for kernels, default 1")
    add("--out", type=Path, default=DEFAULT_FOLDER, metavar="DIR", help=OUT_HELP)
    return parser


def parse_counts(text: str) -> list[int]:
    """Parse counts separated by commas.

    **Raises:** `argparse.ArgumentTypeError` for anything else.
    """
    return [parse_starts(part) for part in text.split(",")]


def choose_contests(options: argparse.Namespace) -> list[tuple[System, Contest]]:
    """Choose the systems and their contenders.

    **Raises:** `ValueError` for unknown names, and for contenders that are not
    installed or cannot compute a system.
    """
    quantity = QUANTITIES[options.what]
    chosen = quantity.systems if options.systems is None else options.systems
    systems = get_systems(chosen)
    names = options.contenders
    if options.cores > 1:
        names = ["native"] if names is None else names
        if names != ["native"]:
            raise ValueError("on several cores only native is measured")
    contests = []
    for system in systems:
        contest = choose_contest(options.what, system, names, options.dtype)
        if options.cores > 1:
            contest = spread_over_cores(contest["native"], options.cores)
        contests.append((system, contest))
    return contests


def format_rows(rows: list[dict[str, Any]], with_head: bool) -> list[str]:
    """Format lines of the printed table."""
    titles = ("system", "batch", "contender", "ns/replica", "ratio", "(min", "max)")
    head = "{:<14}{:>6}  {:<18}{:>12}{:>9}{:>9}{:>9}{:>10}".format(*titles, "CPU/wall")
    lines = [head] if with_head else []
    for row in rows:
        lines.append(
            f"{row['system']:<14}{row['batch']:>6}  {row['contender']:<18}"
            f"{row['ns_per_replica']:>12,.0f}"
            f"{row['ratio']:>9.2f}{row['ratio_min']:>9.2f}{row['ratio_max']:>9.2f}"
            f"{row['cpu_per_wall']:>10.2f}"
        )
    return lines


if __name__ == "__main__":
    run_command(main)
