"""Trained optimizers on held-out starts, to choose between them.

python benchmarks/validate.py runs/a/best.eqx runs/a/weights.eqx learn2hop-lj13-esmc

Starts are those of seed 1000: neither training nor the benchmark, whose seeds are 0 by
default, sees them. Prints a line for each optimizer and system, the mean energy of the
best structures after a quench, and appends it to a file of JSON lines if `--out` names
one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SEED = 1000
# Starts and steps by system.
PLAN = {
    "LJ-13": (80, 2_000),
    "LJ-38": (40, 20_000),
    "LJ-75": (40, 20_000),
    "Gupta-Au55": (40, 20_000),
    "SW-Si64": (30, 10_000),
}


def validated(name: str, optimizer: Any, system: str) -> dict[str, Any]:
    """One line: how an optimizer does on a system."""
    import jax
    import numpy as np

    from hopgym import Environment, get_system, quench, rollout

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
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Validate; the exit code: 0, or 2 for nonsense."""
    from hopgym._cli.arguments import Parser
    from hopgym._suggest import unknown_name
    from hopgym.optimizers import load

    options = Parser(prog="validate.py", description=(__doc__ or "").splitlines()[0])
    options.add_argument("optimizers", nargs="+", help="names, or files of weights")
    options.add_argument("--systems", default=",".join(PLAN), help="of the plan")
    options.add_argument("--out", type=Path, help="file to append to")
    given = options.parse_args(arguments)
    systems = given.systems.split(",")
    for system in systems:
        if system not in PLAN:
            options.error(unknown_name("system", system, list(PLAN)))
    try:
        loaded = {name: load(name) for name in given.optimizers}
    except (OSError, KeyError, ValueError) as error:
        options.error(str(error.args[-1] if isinstance(error, KeyError) else error))
    for name, optimizer in loaded.items():
        for system in systems:
            line = validated(name, optimizer, system)
            print(
                f"{name}  {system}  mean {line['mean']:.3f} ± "
                f"{line['mean_error']:.3f}  min {line['min']:.3f}  hits "
                f"{line['hits']}/{line['starts']}",
                flush=True,
            )
            if given.out is not None:
                with given.out.open("a") as stream:
                    stream.write(json.dumps(line) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
