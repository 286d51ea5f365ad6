"""How fast evaluations and learned steps are: contenders in one process, by rounds.

python benchmarks/speed.py --systems LJ-75,Gupta-Au55 --contenders xla,jax-md
python benchmarks/speed.py --what learned-step --systems LJ-13,LJ-38,LJ-75

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
  replicas in single precision. Contenders that disagree are not timed.
- One precision for all contenders. Start: harmonic initialisation, a few steps down.
"""

from __future__ import annotations

import argparse
import importlib.util
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
from typing import Any, NoReturn

from contenders import CONTENDERS, Nonsense, by, evaluations

WHAT = {  # systems and contenders by default, and how results are called
    "energy": (
        "LJ-13,LJ-38,LJ-75,Gupta-Au55,SW-Si64",
        "native,xla,jax-md",
        "energy+gradient",
    ),
    "learned-step": ("LJ-13,LJ-38,LJ-75", "xla,naive", "learned step"),
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


def programs(what: str, name: str, system) -> dict[str, Callable]:
    """What is timed and compared, compiled.

    `first(positions)`, `walk(positions, steps)`: vectors and positions in which
    contenders must agree; `run(positions, steps)`: what is timed.

    **Raises:** `Nonsense` for a contender that cannot compute the system.
    """
    if what == "energy":
        return evaluations(CONTENDERS[name](system), float(system.length))
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
        help=f"{', '.join(CONTENDERS)}; of learned steps native, xla, naive",
    )
    add("--rounds", type=int, default=5)
    add("--batch", type=int, default=80, help="replicas")
    add("--seconds", type=float, default=0.3, help="of each contender in a round")
    add("--dtype", choices=sorted(AGREEMENT), default="float32")
    add("--core", type=int, help="to be pinned to (default: the first allowed)")
    add("--out", type=Path, default=Path("results/speed"), metavar="DIR")
    return result


def chosen(
    options: argparse.Namespace,
) -> list[tuple[Any, dict[str, dict[str, Callable]]]]:
    """Systems, and the programs that compute them, by the contender's name.

    **Raises:** `Nonsense` for unknown ones, if a contender cannot compute a system,
    or if jax-md is not installed.
    """
    from hopgym import get_system
    from hopgym.names import unknown

    usual_systems, usual_contenders, _ = WHAT[options.what]
    try:
        listed = (options.systems or usual_systems).split(",")
        systems = [get_system(name) for name in listed]
    except (KeyError, ValueError) as error:
        raise Nonsense(error.args[0]) from None
    names = (options.contenders or usual_contenders).split(",")
    known = list(CONTENDERS) if options.what == "energy" else ["native", "xla", "naive"]
    for name in names:
        if name not in known:
            raise Nonsense(unknown("contender", name, known))
    needed = {"jax-md", "naive"} & {*names}
    if needed and importlib.util.find_spec("jax_md") is None:
        raise Nonsense(
            f"contender {needed.pop()!r} needs the package jax-md: pip install jax-md, "
            "or leave it out with --contenders xla"
        )
    found = []
    for system in systems:
        made = {}
        for name in names:
            try:
                made[name] = programs(options.what, name, system)
            except Nonsense:
                if name != "native" or options.contenders is not None:
                    raise
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


def pin(core: int | None) -> None:
    """Keep this process on one core, the first allowed unless given.

    **Raises:** `Nonsense` for a core that is not allowed.
    """
    if hasattr(os, "sched_setaffinity"):
        allowed = os.sched_getaffinity(0)
        core = min(allowed) if core is None else core
        if core not in allowed:
            raise Nonsense(f"core {core} is not one of {allowed}")
        os.sched_setaffinity(0, {core})


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
        cpu, _ = self.measure(positions)
        self.steps = max(3, int(seconds / (cpu * positions.shape[0] * 1e-9)))

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
    system, contest: dict[str, dict[str, Callable]], options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Rows of one system.

    **Raises:** `RuntimeError` if contenders compute different things.
    """
    import jax
    import jax.numpy as jnp

    dtype = jnp.dtype(options.dtype)
    keys = jax.random.split(jax.random.key(0), options.batch)
    positions = jnp.asarray(jax.jit(jax.vmap(lambda k: system.sample(k)))(keys), dtype)
    bases = [name for name in ("jax-md", "naive") if name in contest]
    base_name = bases[0] if bases else next(iter(contest))
    field = [Contender(name, made) for name, made in contest.items()]
    base = next(contender for contender in field if contender.name == base_name)
    again = programs(options.what, base_name, system)
    field.append(Contender(f"{base_name} again", again))
    steps, unit = LEARNED_TRAJECTORY, float(system.length)
    limit, share = LEARNED_AGREEMENT[options.dtype]
    if options.what == "energy":
        # Learned steps begin at the start itself: where forces vanish they depend on
        # the rounding of what is left.
        positions = field[0].walk(positions, 200)
        steps, unit = TRAJECTORY, None
        limit, share = AGREEMENT[options.dtype], 1.0

    agreement = {}
    for contender in field:
        found = differences(base, contender, positions, steps, unit, share)
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

    rows = []
    for contender in field:
        ratios = [b / c for b, c in zip(base.cpu, contender.cpu, strict=True)]
        rows.append(
            {
                "what": WHAT[options.what][2],
                "system": system.name,
                "batch": options.batch,
                "dtype": options.dtype,
                "contender": contender.name,
                "base": base.name,
                "ns_per_replica": statistics.median(contender.cpu),
                "ns_per_replica_min": min(contender.cpu),
                "ns_per_replica_max": max(contender.cpu),
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
    titles = ("system", "contender", "ns/replica", "ratio", "(min", "max)", "CPU/wall")
    lines = ["{:<14}{:<14}{:>12}{:>9}{:>9}{:>9}{:>10}".format(*titles)]
    for row in rows:
        lines.append(
            f"{row['system']:<14}{row['contender']:<14}{row['ns_per_replica']:>12,.0f}"
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


def _main(arguments: Sequence[str] | None) -> int:
    options = parser().parse_args(arguments)
    if min(options.rounds, options.batch) < 1:
        raise Nonsense("--rounds and --batch must be positive")
    if not 0 < options.seconds < math.inf:
        raise Nonsense("--seconds must be positive and finite")
    pin(options.core)
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    import jax
    from provenance import describe_host

    from hopgym import atomic

    jax.config.update("jax_enable_x64", options.dtype == "float64")
    # jax-md asks for float64 on every trace.
    warnings.filterwarnings("ignore", message="Explicitly requested dtype")
    contest = chosen(options)
    path = options.out / "speed.json"
    prepare(path)
    rows: list[dict[str, Any]] = []
    for system, contenders in contest:
        fresh = compare(system, contenders, options)
        print(table(fresh) if not rows else table(fresh).split("\n", 1)[1], flush=True)
        rows += fresh
    words = sys.argv[1:] if arguments is None else arguments
    meta = {
        "command": " ".join(["python benchmarks/speed.py", *words]),
        **describe_host(),
        "protocol": (__doc__ or "").split("Protocol:\n\n")[1].strip(),
    }
    content = {"meta": meta, "rows": rows}
    atomic.write(path, json.dumps(content, indent=1) + "\n")
    print(f"{path} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
