"""Draw the epoch in which bh-symmetric finds a minimum, quench by quench.

python benchmarks/epoch_figure.py LJ-75 docs/epoch.png
"""

from __future__ import annotations

import os
import sys

if not __package__:  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == "__main__":
    from benchmarks import start as start

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float

import hopgym
from benchmarks.gallery import choose_view, draw_structure, parse_png, save_row
from hopgym._cli.arguments import Parser, parse_count, parse_seed, parse_starts
from hopgym._cli.lookup import get_systems
from hopgym._cli.process import run as run_command
from hopgym.optimizers import SymmetricBasinHopping, bh_symmetric
from hopgym.optimizers.symmetry.progress import Phase

LABELS = {
    Phase.INITIAL: "start",
    Phase.START: "quench",
    Phase.HOP: "hop",
    Phase.POLISH: "tight quench",
    Phase.SURFACE: "surface search",
    Phase.FREE: "free hop",
    Phase.WALK: "basin hopping",
}
SHOWN = 5  # structures


@dataclass
class Quench:
    """A quench of the search, from its first to its last structure."""

    phase: Phase
    group: str
    first: Float[np.ndarray, "atoms 3"]
    last: Float[np.ndarray, "atoms 3"]
    energy: float


def follow(system: hopgym.System, seed: int, starts: int, steps: int) -> list[Quench]:
    """The quenches of the epoch in which the first of some starts finds the minimum.

    **Raises:** `ValueError` if none finds it, or the system has no reference energy
    or no symmetric subspaces.
    """
    environment = hopgym.Environment(system)
    optimizer = bh_symmetric(system)
    if not isinstance(optimizer, SymmetricBasinHopping):
        raise ValueError(f"{system.name} has no symmetric subspaces")
    if not system.has_reference:
        raise ValueError(f"{system.name} has no reference energy")
    names = optimizer.subspaces.names

    def make_rollout() -> hopgym.Rollout:
        return hopgym.Rollout(environment, optimizer, jax.random.key(seed), starts)

    search = make_rollout()
    search.advance(steps)
    hits = np.asarray(search.state.first_hit)
    if not (hits > 0).any():
        raise ValueError(f"no start of seed {seed} finds the minimum of {system.name}")
    replica = int(np.where(hits > 0, hits, steps + 1).argmin())
    search, quenches, last = make_rollout(), [], None
    for _ in range(int(hits[replica])):
        state, search_state = search.arrays()
        positions = np.asarray(state.positions[replica])
        progress = search_state.progress
        phase = Phase(int(progress.phase[replica]))
        if last != (now := (phase, int(progress.hops[replica]))):
            last = now
            if phase == Phase.START:
                quenches = []
            group = names[progress.epoch.group[replica]]
            quenches.append(Quench(phase, group, positions, positions, np.inf))
        quenches[-1].last = positions
        quenches[-1].energy = float(state.energy[replica])
        search.advance(1)
    return quenches


def choose_structures(
    quenches: list[Quench],
) -> list[tuple[str, Float[np.ndarray, "atoms 3"]]]:
    """The start, and some of the structures that are lower than all before."""
    lowest, records = np.inf, []
    for number, quench in enumerate(quenches):
        if quench.energy < lowest:
            lowest = quench.energy
            label = LABELS[quench.phase]
            if quench.phase == Phase.HOP:
                label += f" {number}"
            records.append((f"{label}, {quench.energy:.2f}", quench.last))
    wanted = np.linspace(0, len(records) - 1, min(SHOWN - 1, len(records)))
    start = quenches[0]
    return [
        (f"random start, {start.group}", start.first),
        *(records[round(one)] for one in wanted),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the picture, and return the exit code."""
    parser = Parser(prog="epoch_figure.py", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("system", metavar="SYSTEM")
    add("path", type=parse_png, metavar="FILE.png")
    add("--starts", metavar="N", type=parse_starts, default=16)
    add("--steps", metavar="N", type=parse_count, default=20_000)
    add("--seed", metavar="N", type=parse_seed, default=0)
    args = parser.parse_args(arguments)
    try:
        [system] = get_systems([args.system])
        quenches = follow(system, args.seed, args.starts, args.steps)
    except ValueError as error:
        parser.fail(error)
    structures = choose_structures(quenches)
    view = choose_view(structures[-1][1], system)
    save_row(
        args.path,
        [
            draw_structure(positions, system, caption, view)
            for caption, positions in structures
        ],
    )
    return 0


if __name__ == "__main__":
    run_command(main)
