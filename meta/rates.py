"""The command `python -m hopgym.meta.rates`: a search that knows other systems.

Hits per evaluation of each group are counted in recorded epochs. There is nothing to be
trained: the choice follows from the rates by Bayes' rule.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from hopgym._cli.arguments import (
    Parser,
    parse_count,
    parse_names,
    parse_not_negative,
    parse_seed,
    parse_starts,
)
from hopgym._cli.devices import use_all_cores
from hopgym._cli.process import run
from hopgym._cli.provenance import describe_run, format_command
from hopgym.meta.known_rates import learn_rates
from hopgym.meta.replayed_unroll import ReplayedUnroll, sort_by_groups
from hopgym.optimizers import learned
from hopgym.optimizers.learned.search import check_chooses_groups, take_constants
from hopgym.optimizers.learned.selection import select_choice
from hopgym.systems import System, get_system

SEED = 0  # of the plays on held-out systems
EXAMPLES = """\
examples:
  python -m hopgym.meta.record --systems LJ-26,LJ-31,LJ-36,LJ-38 --out runs/epochs
  python -m hopgym.meta.rates --systems LJ-26,LJ-31,LJ-38 --epochs runs/epochs \\
      --evaluation-systems LJ-36 --out runs/search.eqx
  python benchmarks/run.py --systems LJ-36 --optimizers runs/search.eqx
"""


def evaluate(
    search: Any,
    systems: Sequence[System],
    folder: Path,
    *,
    starts: int,
    steps: int,
    withheld: float,
    known: Sequence[str] = (),
) -> dict[str, dict[str, float]]:
    """Play with recorded epochs: loss and hits of each system.

    Own rates of a system are not used, see [`hopgym.meta.ReplayedUnroll`][].

    **Raises:** `ValueError` if the folder has no epochs of a system.
    """
    trained, found = select_choice(search), {}
    for indices in sort_by_groups(search, systems):
        own = [systems[k] for k in indices]
        unroll = ReplayedUnroll(
            own, search, folder, withheld=withheld, known=known, trained=trained
        )
        rows = len(own) * starts
        # The same random numbers on each system, whatever the others are.
        instances = np.tile(np.arange(starts), len(own))
        which = np.repeat(np.arange(len(own)), starts)
        runs = unroll.begin(jax.random.key(SEED), None, instances, which)
        runs = unroll.advance(None, runs, steps)
        losses = unroll.losses(runs, rows, steps, "first-hit").reshape(len(own), -1)
        hits = np.reshape(unroll.judge(runs, rows).hit, (len(own), -1))
        for k, system in enumerate(own):
            found[system.name] = {
                "first_hit_loss": round(float(losses[k].mean()), 6),
                "hits": int(hits[k].sum()),
            }
    return {system.name: found[system.name] for system in systems}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, or 2 for invalid arguments."""
    parser = Parser(
        prog="hopgym.meta.rates",
        description="Make a search that knows the rates of its groups elsewhere.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--systems", metavar="A,B", type=parse_names, required=True, help="to learn of")
    add("--epochs", type=Path, required=True, metavar="DIR", help="recorded epochs")
    add("--out", type=Path, required=True, metavar="FILE", help=f"*{learned.SUFFIX}")
    own = "trained bh-symmetric with the other constants, by name or file"
    add("--start-from", metavar="NAME", help=f"{own}; default: those of the zoo")
    drawn = "draw epochs at random with this seed, for another record"
    add("--resample", type=parse_seed, metavar="N", help=drawn)
    held_out = "systems to play on with recorded epochs"
    add("--evaluation-systems", metavar="A,B", type=parse_names, help=held_out)
    add("--evaluation-starts", type=parse_starts, default=280, metavar="N")
    add("--evaluation-steps", type=parse_count, default=50_000, metavar="N")
    share = "of these runs, the fraction in which hits of one family do not count"
    add("--withheld", type=parse_not_negative, default=0.0, metavar="X", help=share)
    options = parser.parse_args(arguments)
    use_all_cores(one_thread_each=True)
    try:
        search, architecture = make_search(options.systems, options.start_from)
        systems = [get_system(name) for name in options.systems]
        search = learn_rates(search, systems, options.epochs, options.resample)
        held_out = [get_system(name) for name in options.evaluation_systems or ()]
        starts = options.evaluation_starts
        found = evaluate(
            search,
            held_out,
            options.epochs,
            starts=starts,
            steps=options.evaluation_steps,
            withheld=options.withheld,
            known=options.systems,
        )
        header = {
            "systems": options.systems,
            "known_systems": options.systems,
            "strategy": "counting hits of recorded epochs",
            "seed": SEED,
            "resample": options.resample,
            "evaluation": found,
            **describe_run(format_command("python -m hopgym.meta.rates", arguments)),
        }
        options.out.parent.mkdir(parents=True, exist_ok=True)
        learned.save(options.out, search, architecture, header)
    except (KeyError, ValueError, OSError) as error:
        parser.fail(error)
    for name, row in found.items():
        loss, hits = row["first_hit_loss"], row["hits"]
        print(f"{name}: first hits {loss:.4f} hits {hits}/{starts}")
    if found:
        mean = np.mean([row["first_hit_loss"] for row in found.values()])
        print(f"mean: {mean:.4f}")
    print(f"rates of {len(systems)} systems: {options.out}")
    return 0


def make_search(
    systems: Sequence[str], start_from: str | None
) -> tuple[Any, dict[str, Any]]:
    """A search that can know the rates of systems, and its architecture.

    **Raises:** `KeyError` for an unknown name; `ValueError` if `start_from` is another
    optimizer.
    """
    architecture: dict[str, Any] = {"name": "bh-symmetric"}
    other = None
    if start_from is not None:
        other = check_chooses_groups(learned.load(start_from))
        architecture |= learned.read_header(start_from)["architecture"]
        architecture.pop("hidden", None)  # of a network
    architecture |= {"choice": learned.EXPERIENCE, "known": len(systems)}
    architecture |= {"groups": list(learned.GROUPS)}
    options = {key: value for key, value in architecture.items() if key != "name"}
    search = learned.make_untrained("bh-symmetric", jax.random.key(0), **options)
    return search if other is None else take_constants(search, other), architecture


if __name__ == "__main__":
    run(main)
