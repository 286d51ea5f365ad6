"""Compare trained optimizers on held-out starts, to choose between them.

python benchmarks/validate.py runs/a/best.eqx runs/a/weights.eqx learn2hop-lj13-esmc

The starts are those of seed 1000; training and benchmark have the seed 0 by default.
Prints a line for each optimizer and system, with the mean energy of the quenched best
structures, and with `--out` appends it to a file of JSON lines.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == "__main__":
    from benchmarks import start as start

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from hopgym import Environment, get_system, quench, rollout
from hopgym._cli.arguments import Parser, parse_names
from hopgym._cli.lookup import check_names
from hopgym._cli.process import run as run_command
from hopgym.optimizers import load

SEED = 1000
# Number of starts and of steps, by system.
PLAN = {
    "LJ-13": (80, 2_000),
    "LJ-38": (40, 20_000),
    "LJ-75": (40, 20_000),
    "Gupta-Au55": (40, 20_000),
    "SW-Si64": (30, 10_000),
}


def validate(name: str, optimizer: Any, system: str) -> dict[str, Any]:
    """Run an optimizer on a system: a line of the results."""
    starts, steps = PLAN[system]
    landscape = get_system(system)
    result = rollout(
        Environment(landscape), optimizer, jax.random.key(SEED), starts, steps
    )
    quenched = quench(landscape, result.state.best_positions).energy
    energies = np.asarray(quenched)
    return {
        "optimizer": name,
        "system": system,
        "starts": starts,
        "steps": steps,
        "seed": SEED,
        "mean": round(float(energies.mean()), 6),
        "mean_error": round(float(energies.std(ddof=1) / starts**0.5), 6),
        "min": round(float(energies.min()), 6),
        "hits": int(np.sum(np.asarray(landscape.is_hit(quenched)))),
        "reference": round(float(landscape.reference), 6),
        "tolerance": round(float(landscape.tolerance), 6),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, or 2 for invalid arguments."""
    parser = Parser(prog="validate.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("optimizers", nargs="+", help="names, or files of weights")
    parser.add_argument(
        "--systems", metavar="A,B", type=parse_names, default=list(PLAN)
    )
    parser.add_argument("--out", type=Path, help="file to append to")
    options = parser.parse_args(arguments)
    try:
        check_names("system", options.systems, PLAN)
        loaded = {name: load(name) for name in options.optimizers}
        if options.out is not None:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.open("a").close()
    except (OSError, KeyError, ValueError) as error:
        parser.fail(error)
    for name, optimizer in loaded.items():
        for system in options.systems:
            line = validate(name, optimizer, system)
            print(
                f"{name}  {system}  mean {line['mean']:.3f} ± "
                f"{line['mean_error']:.3f}  min {line['min']:.3f}  hits "
                f"{line['hits']}/{line['starts']}",
                flush=True,
            )
            if options.out is not None:
                with options.out.open("a") as stream:
                    stream.write(json.dumps(line) + "\n")
    return 0


if __name__ == "__main__":
    run_command(main)
