"""Comparison of contenders: agreement of results, then times and their ratios."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.timing.implementations import Programs
from benchmarks.timing.quantities import QUANTITIES, Contest
from hopgym import System

TRAJECTORY_STEPS = 50
LEARNED_TRAJECTORY_STEPS = 20
# Largest difference, relative to the largest component, of forces and of the
# displacements of a trajectory.
AGREEMENT = {"float32": 1e-4, "float64": 1e-6}
# Learned steps: largest difference of displacements, in units of length, and the
# fraction of replicas that must be within it. Where a component of a force almost
# vanishes, its logarithm amplifies rounding errors, so that some trajectories diverge
# in single precision; in double precision all replicas must agree.
LEARNED_AGREEMENT = {"float32": (1e-5, 0.95), "float64": (1e-10, 1.0)}
# Number of compared replicas; about 3% of those of LJ-75 diverge, also within JAX.
LEARNED_STARTS = {"float32": 1000, "float64": 80}


class Disagreement(Exception):
    """The results of contenders differ."""


@dataclass(frozen=True)
class Settings:
    """Settings of a measurement.

    **Arguments:**

    - `quantity`: a name in `QUANTITIES`.
    - `dtype`: precision of all contenders.
    - `cores`: number of cores for kernels; with several, times are wall times.
    - `rounds`: number of rounds, in each of which every contender is measured once.
    - `seconds`: time per contender and round.
    """

    quantity: str
    dtype: str
    cores: int
    rounds: int
    seconds: float


class Contender:
    """Compiled programs, and their measured times."""

    def __init__(self, name: str, programs: Programs):
        self.name = name
        self.programs = programs
        self.cpu: list[float] = []
        self.wall: list[float] = []
        self.steps = 1

    def calibrate(self, positions: jax.Array, seconds: float) -> None:
        """Choose the number of evaluations per measurement."""
        self.measure(positions)
        self.steps = 3
        _, wall = self.measure(positions)
        self.steps = max(3, int(seconds / (wall * positions.shape[0] * 1e-9)))

    def measure(self, positions: jax.Array) -> tuple[float, float]:
        """Measure CPU and wall time in nanoseconds per replica and evaluation."""
        wall, cpu = time.perf_counter_ns(), time.process_time_ns()
        jax.block_until_ready(self.programs.run(positions, self.steps))
        cpu, wall = time.process_time_ns() - cpu, time.perf_counter_ns() - wall
        evaluations = self.steps * positions.shape[0]
        return cpu / evaluations, wall / evaluations


def measure_differences(
    first: Contender,
    other: Contender,
    positions: jax.Array,
    steps: int,
    unit: float | None,
    share: float,
) -> dict[str, float]:
    """Largest difference of forces, and of displacements of a trajectory.

    **Arguments:**

    - `first`, `other`: the contenders to compare.
    - `positions`: `Float[Array, "replicas atoms 3"]`.
    - `steps`: number of steps of the trajectory.
    - `unit`: unit of the differences; `None` for the largest component.
    - `share`: fraction of the replicas that are considered.
    """

    def reduce(a: np.ndarray, b: np.ndarray) -> float:
        largest = np.abs(a - b).max(axis=(1, 2))
        kept = np.quantile(largest, share, method="higher")
        return float(kept / (unit or np.abs(a).max()))

    programs = [contender.programs for contender in (first, other)]
    forces = [np.asarray(p.first(positions)) for p in programs]
    walks = [np.asarray(p.walk(positions, steps) - positions) for p in programs]
    return {"forces": reduce(*forces), "trajectory": reduce(*walks)}


def measure_system(
    system: System, contest: Contest, batch: int, settings: Settings
) -> list[dict[str, Any]]:
    """Measure all contenders on a system, and a second compilation of the base.

    **Arguments:**

    - `system`, `contest`: the system and its contenders.
    - `batch`: number of replicas.
    - `settings`: settings of the measurement.

    **Returns:** one row per contender.

    **Raises:** `Disagreement` if results of contenders differ.
    """
    bases = [name for name in ("jax-md", "naive") if name in contest]
    base_name = bases[0] if bases else next(iter(contest))
    field = [Contender(name, make()) for name, make in contest.items()]
    base = next(contender for contender in field if contender.name == base_name)
    field.append(Contender(f"{base_name} again", contest[base_name]()))

    positions = _draw_starts(system, batch, settings.dtype)
    if settings.quantity == "learned-step":
        # Without a descent: where forces almost vanish, they consist of rounding
        # errors, on which learned steps depend.
        compared = _draw_starts(system, LEARNED_STARTS[settings.dtype], settings.dtype)
        steps, unit = LEARNED_TRAJECTORY_STEPS, float(system.length)
        limit, share = LEARNED_AGREEMENT[settings.dtype]
    else:
        compared = positions = field[0].programs.walk(positions, 200)
        steps, unit = TRAJECTORY_STEPS, None
        limit, share = AGREEMENT[settings.dtype], 1.0

    agreement = {}
    for contender in field:
        found = measure_differences(base, contender, compared, steps, unit, share)
        if not max(found.values()) < limit:
            raise Disagreement(
                f"{system.name}: {contender.name} and {base.name} disagree: {found}"
            )
        agreement[contender.name] = found
        contender.calibrate(positions, settings.seconds)
    for _ in range(settings.rounds):
        for contender in field:
            cpu, wall = contender.measure(positions)
            contender.cpu.append(cpu)
            contender.wall.append(wall)
    return [
        {
            "what": QUANTITIES[settings.quantity].title,
            "system": system.name,
            "batch": batch,
            "cores": settings.cores,
            "dtype": settings.dtype,
            "contender": contender.name,
            "base": base.name,
            **_summarise_times(contender, base, settings.cores),
            "difference": agreement[contender.name],
        }
        for contender in field
    ]


def _draw_starts(system: System, count: int, dtype: str) -> jax.Array:
    keys = jax.random.split(jax.random.key(0), count)
    sample = jax.jit(jax.vmap(lambda key: system.sample(key)))
    return jnp.asarray(sample(keys), jnp.dtype(dtype))


def _summarise_times(
    contender: Contender, base: Contender, cores: int
) -> dict[str, float]:
    taken, reference = (c.cpu if cores == 1 else c.wall for c in (contender, base))
    ratios = [b / c for b, c in zip(reference, taken, strict=True)]
    return {
        "ns_per_replica": statistics.median(taken),
        "ns_per_replica_min": min(taken),
        "ns_per_replica_max": max(taken),
        "wall_ns_per_replica": statistics.median(contender.wall),
        "cpu_per_wall": sum(contender.cpu) / sum(contender.wall),
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
    }
