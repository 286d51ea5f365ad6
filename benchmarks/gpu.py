"""Measures a GPU: agreement with the CPU, speed by batch, memory, a meta-update.

python benchmarks/gpu.py --help

Writes DIR/gpu.json after each measurement; the same command resumes. At most eight
minutes on one card; on a CPU it measures that, and `--quick` is its smallest version.

- `agreement`: positions after 20 steps from the same starts, against those of the CPU.
- `rollout`: evaluations per second of `hopgym.Rollout`, by number of starts, with the
  largest memory in use so far (starts increase: that of the last rollout counts).
- `parts`: seconds per step of energy and gradient alone, with the environment, and with
  the optimizer.
- `update`: a meta-update of ESMC, 240 unrolls of 50,000 steps on LJ-75.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == "__main__":
    from benchmarks import start as start

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax

from benchmarks.timing.device import compare_with_cpu, measure_parts, measure_rollout
from benchmarks.timing.files import choose_path, read_rows, save_rows
from hopgym import get_system
from hopgym._cli.arguments import Parser, parse_positive
from hopgym._cli.interrupt import StopRequest
from hopgym._cli.process import run as run_command
from hopgym._cli.progress import say
from hopgym._cli.provenance import format_command
from hopgym.evaluation.markdown import format_markdown
from hopgym.meta import train
from hopgym.meta.run_folder import METRICS

SYSTEMS = ("LJ-13", "LJ-38", "LJ-75", "Gupta-Au55", "SW-Si64")
OPTIMIZERS = ("gd", "learn2hop-lj-set", "bh-lbfgs", "bh-symmetric")
BATCHES = (1, 100, 1000, 10_000, 100_000)
COMPARED = 100  # starts of an agreement, and of parts
STEPS = 20  # of an agreement
LIMIT = 480.0  # seconds
SECONDS = 0.6  # of a measurement, without compilation


@dataclass(frozen=True)
class Task:
    """A measurement: its kind, system, optimizer and number of starts."""

    kind: str
    system: str
    optimizer: str
    batch: int


def _get_task(row: dict[str, Any]) -> Task:
    """The measurement of a row of the results."""
    return Task(row["kind"], row["system"], row["optimizer"], row["batch"])


def list_tasks(quick: bool) -> list[Task]:
    """The measurements, the most important first."""
    systems = ("LJ-13",) if quick else SYSTEMS
    optimizers = ("gd", "bh-lbfgs") if quick else OPTIMIZERS
    batches = (1, 10) if quick else BATCHES
    few = 10 if quick else COMPARED
    pairs = [(system, one) for one in optimizers for system in systems]
    tasks = [Task("agreement", *pair, few) for pair in pairs]
    tasks += [Task("rollout", *pair, n) for n in batches for pair in pairs]
    tasks += [Task("parts", *pair, batches[-2]) for pair in pairs]
    update = "LJ-13" if quick else "LJ-75"
    return [*tasks, Task("update", update, "learn2hop", 240)]


def measure(task: Task, quick: bool) -> dict[str, Any]:
    """Do a measurement."""
    seconds = 0.01 if quick else SECONDS
    if task.kind == "update":
        return measure_update(task.system, 20 if quick else 50_000)
    system = get_system(task.system)
    if task.kind == "agreement":
        return compare_with_cpu(system, task.optimizer, task.batch, STEPS)
    kinds: dict[str, Callable[..., dict[str, Any]]]
    kinds = {"rollout": measure_rollout, "parts": measure_parts}
    return kinds[task.kind](system, task.optimizer, task.batch, seconds)


def measure_update(system: str, unroll: int) -> dict[str, Any]:
    """Time the second meta-update of a training; the first one compiles."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        words = ["--systems", system, "--strategy", "esmc", "--unroll", str(unroll)]
        words += ["--updates", "2", "--out", str(out)]
        words += ["--evaluation-starts", "1", "--evaluation-steps", "1"]
        code = train.main(words)
        if code:
            raise RuntimeError(f"the training ended with exit code {code}")
        lines = [json.loads(line) for line in (out / METRICS).read_text().splitlines()]
    (*_, last) = (line for line in lines if "seconds" in line)
    return {"seconds": last["seconds"], "steps_per_second": last["steps_per_second"]}


def format_rows(rows: Sequence[dict[str, Any]]) -> str:
    """Format evaluations per second by number of starts, in Markdown."""
    rollouts = [row for row in rows if row["kind"] == "rollout" and "error" not in row]
    batches = sorted({row["batch"] for row in rollouts})
    lines = []
    for system, optimizer in dict.fromkeys(
        (row["system"], row["optimizer"]) for row in rollouts
    ):
        found = {
            row["batch"]: f"{row['evaluations_per_second']:,.0f}"
            for row in rollouts
            if (row["system"], row["optimizer"]) == (system, optimizer)
        }
        lines.append([system, f"`{optimizer}`", *(found.get(n, "") for n in batches)])
    head = ["system", "optimizer", *(f"{n:,} starts" for n in batches)]
    return format_markdown(head, lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0: all is measured. 1: the time limit was reached, or a measurement failed. 2:
    invalid arguments.
    """
    parser = Parser(prog="gpu.py", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--quick", action="store_true", help="the smallest version, in a minute")
    add("--out", type=Path, default=Path("results/gpu"), metavar="DIR")
    limit = "stop after S seconds, default 480; repeat the command to resume"
    add("--time-limit", type=parse_positive, metavar="S", default=LIMIT, help=limit)
    options = parser.parse_args(arguments)
    try:
        path = choose_path(options.out, "gpu.json")
        rows = read_rows(path) if path.exists() else []
    except (ValueError, OSError) as error:
        parser.fail(error)
    stop = StopRequest(options.time_limit)
    device = jax.devices()[0].device_kind
    if {row["device"] for row in rows} - {device}:
        parser.error(f"{path} has measurements of another device: choose another --out")
    done = {_get_task(row) for row in rows}
    tasks = list_tasks(options.quick)
    command = format_command("python benchmarks/gpu.py", arguments)
    for number, task in enumerate(tasks, 1):
        if task in done:
            continue
        if stop():
            say("time limit reached: the same command resumes")
            break
        timer = time.perf_counter()
        try:
            found = measure(task, options.quick)
        except Exception as error:  # such as too little memory: the others go on
            found = {"error": f"{type(error).__name__}: {str(error)[:200]}"}
        spent = time.perf_counter() - timer
        text = json.dumps(found)
        label = f"{task.kind} {task.system} {task.optimizer} {task.batch:,}"
        print(f"[{number}/{len(tasks)}] {label}  {text}  {spent:.1f} s", flush=True)
        rows.append({"device": device, **asdict(task), **found})
        save_rows(path, command, rows)
        jax.clear_caches()
    print(format_rows(rows))
    sound = {_get_task(row) for row in rows if "error" not in row}
    return 0 if sound.issuperset(tasks) else 1


if __name__ == "__main__":
    run_command(main)
