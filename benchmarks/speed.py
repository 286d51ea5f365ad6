"""How fast evaluations and learned steps are: contenders in one process, by rounds.

python benchmarks/speed.py --systems LJ-75,Gupta-Au55 --contenders xla,jax-md
python benchmarks/speed.py --what learned-step --systems LJ-13,LJ-38,LJ-75
python benchmarks/speed.py --what radial
python benchmarks/speed.py --systems LJ-13,LJ-75 --batch 1280 --cores 2

Writes DIR/speed.json and prints a table. Protocol:

- One core: the process is pinned and XLA's thread pool is off. The measure is the CPU
  time of the process; wall time and CPU/wall are reported beside it.
- Contenders take turns in every round, each for about `--seconds`, and the ratio is
  formed per round: median, smallest and greatest are reported. The base also runs
  against a second compilation of itself, which shows the noise.
- Evaluations are steps of a compiled loop, as in a rollout, energy included; the call
  from Python is outside. Compilation is not counted.
- Before timing, forces of all contenders are compared and so is a trajectory of 50
  steps; of learned steps the first displacement, and 20 of them, for 95 of 100
  replicas (of 1,000) in single precision. Contenders that disagree are not timed.
- On several cores (`--cores`) kernels may use so many threads, the measure is wall
  time, and the base is the same kernel on one thread; another row has its two halves
  one after the other, which shows what the size of the batch does.
- One precision for all contenders. Start: harmonic initialisation, a few steps down.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import itertools
import json
import math
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import peers
from contenders import CONTENDERS, Nonsense, by, evaluations


class What(NamedTuple):
    """Something to be timed: by default of whom and by whom, and by whom at most."""

    called: str
    systems: str
    contenders: str
    known: tuple[str, ...]


WHAT = {
    "energy": What(
        "energy+gradient",
        "LJ-13,LJ-38,LJ-75,Gupta-Au55,SW-Si64",
        "native,xla,jax-md",
        (*CONTENDERS, *peers.PEERS),
    ),
    "atom-energies": What(
        "energies of atoms",
        "LJ-13,LJ-38,LJ-75,Gupta-Au55,SW-Si64",
        "native,xla",
        ("native", "xla"),
    ),
    "radial": What(
        "radial functions",
        "LJ-13,LJ-38,LJ-75,Gupta-Au55,SW-Si64",
        "native,xla,jax-md",
        ("native", "xla", "jax-md"),
    ),
    "learned-step": What(
        "learned step", "LJ-13,LJ-38,LJ-75", "xla,naive", ("native", "xla", "naive")
    ),
}
TRAJECTORY = 50
LEARNED_TRAJECTORY = 20
# Largest difference, relative to the largest component, of forces and of the
# displacements of a trajectory.
AGREEMENT = {"float32": 1e-4, "float64": 1e-6}
# Of learned steps: largest difference of displacements, in units of length, and the
# share of replicas that must keep within it. Where a component of a force all but
# vanishes its logarithm grows rounding until single precision parts trajectories;
# double precision shows that all replicas compute the same.
LEARNED_AGREEMENT = {"float32": (1e-5, 0.95), "float64": (1e-10, 1.0)}
# Replicas that are compared: of LJ-75's some three in a hundred part, by formulas too.
LEARNED_STARTS = {"float32": 1000, "float64": 80}


def programs(what: str, name: str, system, dtype: str) -> dict[str, Callable]:
    """What is timed and compared, compiled.

    `first(positions)`, `walk(positions, steps)`: vectors and positions in which
    contenders must agree; `run(positions, steps)`: what is timed.

    **Raises:** `Nonsense` for a contender that cannot compute the system.
    """
    if what == "energy" and name in peers.PEERS:
        if dtype != "float64":
            raise Nonsense(f"{name} computes in double precision: add --dtype float64")
        return peers.evaluations(peers.PEERS[name](system), float(system.length))
    if what == "energy":
        return evaluations(CONTENDERS[name](system), float(system.length))
    if what != "learned-step":
        import speed_atoms

        return speed_atoms.programs(what, name, system)
    import speed_learned

    if not system.name.startswith("LJ-"):
        raise Nonsense(f"learned steps are compared on LJ clusters, not {system.name}")
    forces = CONTENDERS["xla"](system)
    reference = CONTENDERS["jax-md"](system)
    made = speed_learned.programs(name, system, forces, reference)
    if name == "naive":
        return made
    CONTENDERS[name](system)  # refuses what it cannot compute
    return {program: by(name, function) for program, function in made.items()}


class Parser(argparse.ArgumentParser):
    """Errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise Nonsense(message)


def parser() -> Parser:
    """The command line."""
    result = Parser(prog="speed.py", description=(__doc__ or "").splitlines()[0])
    add = result.add_argument
    add("--what", choices=list(WHAT), default="energy")
    add("--systems", help="names, separated by commas")
    add(
        "--contenders",
        help="; ".join(f"of {key}: {', '.join(x.known)}" for key, x in WHAT.items()),
    )
    add("--rounds", type=int, default=5)
    add("--batch", default="80", metavar="N,N", help="replicas, default 80")
    add("--seconds", type=float, default=0.3, help="of each contender in a round")
    add("--dtype", choices=sorted(AGREEMENT), default="float32")
    add("--core", type=int, help="to be pinned to (default: the first allowed)")
    add("--cores", type=int, default=1, help="that native may use, default 1")
    add("--out", type=Path, default=Path("results/speed"), metavar="DIR")
    return result


def chosen(
    options: argparse.Namespace,
) -> list[tuple[Any, dict[str, Callable[[], dict[str, Callable]]]]]:
    """Systems, and who makes the programs that compute them, by the contender's name.

    **Raises:** `Nonsense` for unknown ones, if a contender cannot compute a system,
    or if jax-md is not installed.
    """
    from hopgym import get_system
    from hopgym._suggest import unknown_name

    what = WHAT[options.what]
    try:
        listed = (options.systems or what.systems).split(",")
        systems = [get_system(name) for name in listed]
    except (KeyError, ValueError) as error:
        raise Nonsense(error.args[0]) from None
    if options.cores > 1:
        options.contenders = options.contenders or "native"
        if options.contenders != "native":
            raise Nonsense("on several cores only native is measured")
    names = (options.contenders or what.contenders).split(",")
    for name in names:
        if name not in what.known:
            raise Nonsense(unknown_name("contender", name, [*what.known]))
    needed = {"jax-md", "naive"} & {*names}
    if needed and importlib.util.find_spec("jax_md") is None:
        raise Nonsense(
            f"contender {needed.pop()!r} needs the package jax-md: pip install jax-md, "
            "or leave it out with --contenders xla"
        )
    found = []
    for system in systems:
        made: dict[str, Callable] = {}
        for name in names:
            make = functools.partial(
                programs, options.what, name, system, options.dtype
            )
            try:
                make()  # refuses what it cannot compute
            except Nonsense:
                if name != "native" or options.contenders is not None:
                    raise
                continue
            made[name] = make
        if options.cores > 1:
            kernel = made["native"]
            made = {
                "one core": lambda make=kernel: on_threads(make(), 1),
                "one core, halves": lambda make=kernel: on_threads(make(), 1, 2),
                f"{options.cores} cores": lambda make=kernel: on_threads(
                    make(), options.cores
                ),
            }
        found.append((system, made))
    return found


def prepare(path: Path) -> None:
    """Make the folder of a file that will be written.

    **Raises:** `Nonsense` if that cannot be.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise Nonsense(f"cannot write to {path.parent}: {error.strerror}") from None
    if path.is_dir():
        raise Nonsense(f"cannot write {path}: it is a folder")


def pin(core: int | None, count: int) -> None:
    """Keep this process on `count` cores, from `core` on or the first allowed ones.

    **Raises:** `Nonsense` for cores that are not allowed.
    """
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        first = allowed[0] if core is None else core
        if first not in allowed:
            raise Nonsense(f"core {core} is not one of {allowed}")
        chosen = allowed[allowed.index(first) :][:count]
        if len(chosen) < count:
            raise Nonsense(f"there are not {count} cores from {first} on: {allowed}")
        os.sched_setaffinity(0, {*chosen})


def one_thread() -> None:
    """Keep XLA from computing on several threads; before JAX is imported."""
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()


def save(path: Path, command: list[str], rows: list[dict[str, Any]], **more) -> None:
    """Write rows and how they were made, and say so."""
    from provenance import describe_host

    from hopgym._atomic_write import atomic_write

    meta = {"command": " ".join(["python", *command]), **describe_host(), **more}
    atomic_write(path, json.dumps({"meta": meta, "rows": rows}, indent=1) + "\n")
    print(f"{path} written")


def on_threads(made: dict[str, Callable], count: int, parts: int = 1) -> dict:
    """Programs whose kernels use so many threads, on parts of the batch by turns."""
    import jax

    from hopgym import native

    def limited(program: Callable) -> Callable:
        def call(positions, *more):
            with native.threads(count):
                done = [
                    jax.block_until_ready(program(x, *more))
                    for x in jax.numpy.array_split(positions, parts)
                ]
            return jax.tree.map(lambda *x: jax.numpy.concatenate(x), *done)

        return call

    return {name: limited(program) for name, program in made.items()}


class Contender:
    """Compiled programs and what was measured of them."""

    def __init__(self, name: str, programs: dict[str, Callable]):
        self.name = name
        self.first = programs["first"]
        self.run = programs["run"]
        self.walk = programs["walk"]
        self.cpu: list[float] = []
        self.wall: list[float] = []
        self.steps = 1

    def calibrate(self, positions, seconds: float) -> None:
        """Choose the number of evaluations of a measurement."""
        self.measure(positions)
        self.steps = 3
        _, wall = self.measure(positions)
        self.steps = max(3, int(seconds / (wall * positions.shape[0] * 1e-9)))

    def measure(self, positions) -> tuple[float, float]:
        """CPU and wall time in nanoseconds per replica and evaluation."""
        import jax

        wall, cpu = time.perf_counter_ns(), time.process_time_ns()
        jax.block_until_ready(self.run(positions, self.steps))
        cpu, wall = time.process_time_ns() - cpu, time.perf_counter_ns() - wall
        evaluations = self.steps * positions.shape[0]
        return cpu / evaluations, wall / evaluations


def differences(
    first: Contender,
    other: Contender,
    positions,
    steps: int,
    unit: float | None,
    share: float,
) -> dict[str, float]:
    """Difference of forces, and of displacements of a trajectory.

    The largest of a replica, for the given share of replicas; in units of `unit`, by
    default of the largest component.
    """
    import numpy as np

    def relative(a, b) -> float:
        largest = np.abs(a - b).max(axis=(1, 2))
        kept = np.quantile(largest, share, method="higher")
        return float(kept / (unit or np.abs(a).max()))

    forces = [np.asarray(c.first(positions)) for c in (first, other)]
    walks = [np.asarray(c.walk(positions, steps) - positions) for c in (first, other)]
    return {"forces": relative(*forces), "trajectory": relative(*walks)}


def compare(
    system,
    contest: dict[str, Callable[[], dict[str, Callable]]],
    batch: int,
    options: argparse.Namespace,
) -> list[dict[str, Any]]:
    """Rows of one system with so many replicas.

    **Raises:** `RuntimeError` if contenders compute different things.
    """
    import jax
    import jax.numpy as jnp

    dtype = jnp.dtype(options.dtype)

    def starts(count: int):
        keys = jax.random.split(jax.random.key(0), count)
        sample = jax.jit(jax.vmap(lambda key: system.sample(key)))
        return jnp.asarray(sample(keys), dtype)

    positions = starts(batch)
    bases = [name for name in ("jax-md", "naive") if name in contest]
    base_name = bases[0] if bases else next(iter(contest))
    field = [Contender(name, make()) for name, make in contest.items()]
    base = next(contender for contender in field if contender.name == base_name)
    field.append(Contender(f"{base_name} again", contest[base_name]()))
    steps, unit = LEARNED_TRAJECTORY, float(system.length)
    limit, share = LEARNED_AGREEMENT[options.dtype]
    if options.what == "learned-step":
        # They begin at the start itself: where forces vanish they depend on the
        # rounding of what is left.
        compared = starts(LEARNED_STARTS[options.dtype])
    else:
        compared = positions = field[0].walk(positions, 200)
        steps, unit = TRAJECTORY, None
        limit, share = AGREEMENT[options.dtype], 1.0

    agreement = {}
    for contender in field:
        found = differences(base, contender, compared, steps, unit, share)
        if not max(found.values()) < limit:
            raise RuntimeError(
                f"{system.name}: {contender.name} and {base.name} disagree: {found}"
            )
        agreement[contender.name] = found
        contender.calibrate(positions, options.seconds)
    for _ in range(options.rounds):
        for contender in field:
            cpu, wall = contender.measure(positions)
            contender.cpu.append(cpu)
            contender.wall.append(wall)

    def times(contender: Contender) -> list[float]:
        return contender.cpu if options.cores == 1 else contender.wall

    rows = []
    for contender in field:
        taken = times(contender)
        ratios = [b / c for b, c in zip(times(base), taken, strict=True)]
        rows.append(
            {
                "what": WHAT[options.what].called,
                "system": system.name,
                "batch": batch,
                "cores": options.cores,
                "dtype": options.dtype,
                "contender": contender.name,
                "base": base.name,
                "ns_per_replica": statistics.median(taken),
                "ns_per_replica_min": min(taken),
                "ns_per_replica_max": max(taken),
                "wall_ns_per_replica": statistics.median(contender.wall),
                "cpu_per_wall": sum(contender.cpu) / sum(contender.wall),
                "ratio": statistics.median(ratios),
                "ratio_min": min(ratios),
                "ratio_max": max(ratios),
                "difference": agreement[contender.name],
            }
        )
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows, to be read."""
    titles = ("system", "batch", "contender", "ns/replica", "ratio", "(min", "max)")
    lines = [
        "{:<14}{:>6}  {:<18}{:>12}{:>9}{:>9}{:>9}{:>10}".format(*titles, "CPU/wall")
    ]
    for row in rows:
        lines.append(
            f"{row['system']:<14}{row['batch']:>6}  {row['contender']:<18}"
            f"{row['ns_per_replica']:>12,.0f}"
            f"{row['ratio']:>9.2f}{row['ratio_min']:>9.2f}{row['ratio_max']:>9.2f}"
            f"{row['cpu_per_wall']:>10.2f}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; the exit code: 0, 1 if contenders disagree, 2 for nonsense."""
    try:
        return _main(arguments)
    except Nonsense as error:
        print(f"speed.py: {error}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(f"speed.py: {error}", file=sys.stderr)
        return 1


def _batches(text: str) -> list[int]:
    try:
        found = [int(number) for number in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 1:
        raise Nonsense(f"--batch must be positive numbers, got {text!r}")
    return found


def _main(arguments: Sequence[str] | None) -> int:
    options = parser().parse_args(arguments)
    batches = _batches(options.batch)
    if min(options.rounds, options.cores) < 1:
        raise Nonsense("--rounds and --cores must be positive")
    if not 0 < options.seconds < math.inf:
        raise Nonsense("--seconds must be positive and finite")
    pin(options.core, options.cores)
    if options.cores == 1:
        one_thread()
    import jax

    jax.config.update("jax_enable_x64", options.dtype == "float64")
    # jax-md asks for float64 on every trace.
    warnings.filterwarnings("ignore", message="Explicitly requested dtype")
    contest = chosen(options)
    path = options.out / "speed.json"
    prepare(path)
    rows: list[dict[str, Any]] = []
    for (system, contenders), batch in itertools.product(contest, batches):
        fresh = compare(system, contenders, batch, options)
        print(table(fresh) if not rows else table(fresh).split("\n", 1)[1], flush=True)
        rows += fresh
    words = sys.argv[1:] if arguments is None else arguments
    protocol = (__doc__ or "").split("Protocol:\n\n")[1].strip()
    save(path, ["benchmarks/speed.py", *words], rows, protocol=protocol)
    return 0


if __name__ == "__main__":
    sys.exit(main())
