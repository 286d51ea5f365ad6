"""How fast energy and gradient are: contenders in one process, round by round.

python benchmarks/speed.py --systems LJ-75,Gupta-Au55 --contenders xla,jax-md

Writes DIR/speed.json and prints a table. Protocol:

- One core: the process is pinned and XLA's thread pool is off. The measure is the CPU
  time of the process; wall time and CPU/wall are reported beside it.
- Contenders take turns in every round, each for about `--seconds`, and the ratio is
  formed per round: median, smallest and greatest are reported. The base also runs
  against a second compilation of itself, which shows the noise.
- Evaluations are steps of a compiled loop, as in a rollout, energy included; the call
  from Python is outside. Compilation is not counted.
- Before timing, forces of all contenders are compared and so is a trajectory of 50
  steps. Contenders that disagree are not timed.
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

from store import Store

SYSTEMS = "LJ-13,LJ-38,LJ-75,Gupta-Au55,SW-Si64"
TRAJECTORY = 50
STRIDE = 1e-3  # largest component of a step of a trajectory, in units of length
TINY = 1e-7  # keeps positions where they are while evaluations depend on each other
# Largest difference, relative to the largest component, of forces and of the
# displacements of a trajectory.
AGREEMENT = {"float32": 1e-4, "float64": 1e-6}


class Nonsense(Exception):
    """The command cannot be carried out; the message says why."""


def xla(system) -> Callable:
    """The potential of this package."""
    return system.energy_and_gradient


def jax_md(system) -> Callable:
    """jax-md's energy of the same potential, and its gradient by JAX."""
    import jax
    from jax_md import energy, smap, space

    family = system.name.split("-")[0]
    if family == "SW" and system.name != "SW-Si8":
        displacement, _ = space.periodic(system.box)
        return jax.value_and_grad(energy.stillinger_weber(displacement))
    displacement, _ = space.free()
    if family == "LJ":
        sigma = 2 ** (-1 / 6)
        metric = space.metric(displacement)
        pairs = smap.pair(energy.lennard_jones, metric, sigma=sigma, epsilon=1.0)
        return jax.value_and_grad(pairs)
    gold = family == "Gupta" and set(system.symbols) == {"Au"}
    if gold and not system.name.endswith("table4"):
        cutoff = 1e3  # angstrom, beyond any cluster
        return jax.value_and_grad(energy.gupta_gold55(displacement, cutoff=cutoff))
    raise Nonsense(f"jax-md has no counterpart of {system.name}")


# Name: function of a system that gives `positions -> energy, gradient`.
CONTENDERS: dict[str, Callable] = {"xla": xla, "jax-md": jax_md}


class Parser(argparse.ArgumentParser):
    """Errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise Nonsense(message)


def parser() -> Parser:
    """The command line."""
    result = Parser(prog="speed.py", description=(__doc__ or "").splitlines()[0])
    add = result.add_argument
    add("--systems", default=SYSTEMS, help="names, separated by commas")
    add("--contenders", default="xla,jax-md", help=", ".join(CONTENDERS))
    add("--rounds", type=int, default=5)
    add("--batch", type=int, default=80, help="replicas")
    add("--seconds", type=float, default=0.3, help="of each contender in a round")
    add("--dtype", choices=sorted(AGREEMENT), default="float32")
    add("--core", type=int, help="to be pinned to (default: the first allowed)")
    add("--out", type=Path, default=Path("results/speed"), metavar="DIR")
    return result


def chosen(options: argparse.Namespace) -> list[tuple[Any, dict[str, Callable]]]:
    """Systems, and what evaluates them, by the contender's name.

    **Raises:** `Nonsense` for unknown ones, if a contender cannot compute a system,
    or if jax-md is not installed.
    """
    from hopgym import get_system
    from hopgym.names import unknown

    try:
        systems = [get_system(name) for name in options.systems.split(",")]
    except (KeyError, ValueError) as error:
        raise Nonsense(error.args[0]) from None
    names = options.contenders.split(",")
    for name in names:
        if name not in CONTENDERS:
            raise Nonsense(unknown("contender", name, list(CONTENDERS)))
    if "jax-md" in names and importlib.util.find_spec("jax_md") is None:
        raise Nonsense(
            "contender 'jax-md' needs the package jax-md: pip install jax-md, "
            "or leave it out with --contenders xla"
        )
    return [
        (system, {name: CONTENDERS[name](system) for name in names})
        for system in systems
    ]


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
    """A batched, compiled evaluation and what was measured of it."""

    def __init__(self, name: str, evaluate: Callable, length: float):
        import jax
        import jax.numpy as jnp

        self.name = name
        self.batched = jax.jit(jax.vmap(evaluate))
        self.cpu: list[float] = []
        self.wall: list[float] = []
        self.steps = 1

        @jax.jit
        def run(positions, steps):
            def step(_, carry):
                positions, total = carry
                energies, gradients = jax.vmap(evaluate)(positions)
                return positions - TINY * gradients, total + energies

            totals = jnp.zeros(positions.shape[0], positions.dtype)
            return jax.lax.fori_loop(0, steps, step, (positions, totals))

        @jax.jit
        def walk(positions, steps):
            def step(_, positions):
                _, gradients = jax.vmap(evaluate)(positions)
                largest = jnp.max(jnp.abs(gradients), axis=(1, 2), keepdims=True)
                return positions - STRIDE * length * gradients / largest

            return jax.lax.fori_loop(0, steps, step, positions)

        self.run = run
        self.walk = walk

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


def differences(first: Contender, other: Contender, positions) -> dict[str, float]:
    """Largest relative difference of forces, and of displacements of a trajectory."""
    import numpy as np

    def relative(a, b) -> float:
        return float(np.abs(a - b).max() / np.abs(a).max())

    forces = [np.asarray(c.batched(positions)[1]) for c in (first, other)]
    walks = [
        np.asarray(c.walk(positions, TRAJECTORY) - positions) for c in (first, other)
    ]
    return {"forces": relative(*forces), "trajectory": relative(*walks)}


def compare(
    system, evaluations: dict[str, Callable], options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Rows of one system.

    **Raises:** `RuntimeError` if contenders compute different things.
    """
    import jax
    import jax.numpy as jnp

    dtype = jnp.dtype(options.dtype)
    keys = jax.random.split(jax.random.key(0), options.batch)
    positions = jnp.asarray(jax.jit(jax.vmap(lambda k: system.sample(k)))(keys), dtype)
    length = float(system.length)
    base_name = "jax-md" if "jax-md" in evaluations else next(iter(evaluations))
    field = [
        Contender(name, evaluate, length) for name, evaluate in evaluations.items()
    ]
    base = next(contender for contender in field if contender.name == base_name)
    field.append(Contender(f"{base_name} again", evaluations[base_name], length))
    positions = field[0].walk(positions, 200)

    agreement = {}
    for contender in field:
        found = differences(base, contender, positions)
        if not max(found.values()) < AGREEMENT[options.dtype]:
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
                "what": "energy+gradient",
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

    jax.config.update("jax_enable_x64", options.dtype == "float64")
    # jax-md asks for float64 on every trace.
    warnings.filterwarnings("ignore", message="Explicitly requested dtype")
    contest = chosen(options)
    path = options.out / "speed.json"
    prepare(path)
    rows: list[dict[str, Any]] = []
    for system, evaluations in contest:
        fresh = compare(system, evaluations, options)
        print(table(fresh) if not rows else table(fresh).split("\n", 1)[1], flush=True)
        rows += fresh
    words = sys.argv[1:] if arguments is None else arguments
    meta = {
        "command": " ".join(["python benchmarks/speed.py", *words]),
        **describe_host(),
        "protocol": (__doc__ or "").split("Protocol:\n\n")[1].strip(),
    }
    content = {"meta": meta, "rows": rows}
    Store.write(path, json.dumps(content, indent=1) + "\n")
    print(f"{path} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
