"""Show what a learned choice of groups uses: inputs of its network, known rates.

python benchmarks/ablate.py runs/choice/best.eqx --epochs runs/epochs --systems LJ-38

Runs are played with recorded epochs (`python -m hopgym.meta.record`), each time with
one input less: the network sees a zero instead. In the last two cases there is no
network, or there are no known rates of other systems. Losses are means of the
logarithm of the evaluations until a hit, as a fraction of the budget; larger ones are
worse.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == "__main__":
    from benchmarks import start as start

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
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
from hopgym._cli.lookup import get_systems
from hopgym._cli.process import run as run_command
from hopgym.evaluation.markdown import format_markdown
from hopgym.meta import ReplayedUnroll
from hopgym.optimizers import load, read_header
from hopgym.optimizers.learned.search import RATES
from hopgym.optimizers.learned.selection import select_choice
from hopgym.optimizers.symmetry.choices.network import FINDINGS, ChoiceNetwork
from hopgym.optimizers.symmetry.choices.traits import TRAITS
from hopgym.systems import System

INPUTS = (*TRAITS, *FINDINGS)
ALL = "all inputs"
NO_NETWORK, NO_RATES = "network", "rates_of_other_systems"


def drop_inputs(search: Any, dropped: Sequence[str]) -> Any:
    """The search whose network does not see some of its inputs.

    **Raises:** `ValueError` if its choice is no network.
    """
    network = getattr(search, "departures", {}).get("choice")
    if not isinstance(network, ChoiceNetwork):
        raise ValueError("this optimizer has no network that chooses groups")
    rows = jnp.asarray([INPUTS.index(name) for name in dropped], int)
    return eqx.tree_at(
        lambda s: s.departures["choice"].first,
        search,
        network.first.at[rows].set(0),
    )


def list_cases(search: Any) -> dict[str, Any]:
    """The search, and without each of its inputs, by its name.

    **Raises:** `ValueError` if its choice is no network.
    """
    cases = {ALL: drop_inputs(search, ())}
    cases |= {name: drop_inputs(search, [name]) for name in INPUTS}
    network = search.departures["choice"]
    cases[NO_NETWORK] = eqx.tree_at(
        lambda s: s.departures["choice"].score, search, jnp.zeros_like(network.score)
    )
    if RATES in search.departures:
        same = jnp.ones_like(search.departures[RATES])
        cases[NO_RATES] = eqx.tree_at(lambda s: s.departures[RATES], search, same)
    return cases


def ablate(
    search: Any,
    systems: Sequence[System],
    folder: Path,
    *,
    starts: int = 200,
    steps: int = 50_000,
    withheld: float = 0.0,
    known: Sequence[str] = (),
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Losses of the runs with all inputs, and without each, by its name.

    **Arguments:**

    - `search`: a learned `bh-symmetric` with a network.
    - `systems`: all with the same groups.
    - `folder`: folder of the recorded epochs.
    - `starts`, `steps`: number of runs on each system, and their evaluations.
    - `withheld`, `known`: see [`hopgym.meta.ReplayedUnroll`][].
    - `seed`: random seed; the random numbers are the same without each input.

    **Raises:** `ValueError` if its choice is no network, or as `ReplayedUnroll`.
    """
    cases = list_cases(search)
    trained = select_choice(search)
    if RATES in search.departures:
        trained = eqx.tree_at(lambda s: s.departures[RATES], trained, True)
    unroll = ReplayedUnroll(
        systems, search, folder, withheld=withheld, known=known, trained=trained
    )
    rows = len(systems) * starts
    instances = np.arange(rows)
    which = np.repeat(np.arange(len(systems)), starts)
    found = {}
    for name, one in cases.items():
        weights = jax.tree.map(
            lambda x: jnp.broadcast_to(x, (rows, *x.shape)),
            eqx.filter(one, trained),
        )
        runs = unroll.begin(jax.random.key(seed), weights, instances, which)
        runs = unroll.advance(weights, runs, steps)
        found[name] = unroll.losses(runs, rows, steps, "first-hit")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, or 2 for invalid arguments."""
    parser = Parser(prog="ablate.py", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("search", help="trained bh-symmetric with a network, by name or file")
    add("--epochs", type=Path, required=True, metavar="DIR", help="recorded epochs")
    add("--systems", metavar="A,B", type=parse_names, required=True)
    add("--starts", type=parse_starts, default=200, metavar="N", help="of each system")
    add("--steps", type=parse_count, default=50_000, metavar="N", help="of each run")
    share = "fraction of runs in which the hits of one family do not count, default 0"
    add("--withheld", type=parse_not_negative, default=0.0, metavar="X", help=share)
    add("--seed", type=parse_seed, default=0, metavar="N", help="default 0")
    options = parser.parse_args(arguments)
    use_all_cores(one_thread_each=True)
    try:
        search = load(options.search)
        knows = RATES in getattr(search, "departures", {})
        found = ablate(
            search,
            get_systems(options.systems),
            options.epochs,
            starts=options.starts,
            steps=options.steps,
            withheld=options.withheld,
            known=read_header(options.search).get("known_systems", ()) if knows else (),
            seed=options.seed,
        )
    except (KeyError, ValueError, OSError) as error:
        parser.fail(error)
    base = found.pop(ALL)
    rows = [[ALL, f"{np.mean(base):.3f}", ""]]
    for name, losses in sorted(found.items(), key=lambda item: -np.mean(item[1])):
        apart = losses - base
        error = np.std(apart) / len(apart) ** 0.5
        change = f"{np.mean(apart):+.3f} ± {error:.3f}"
        rows.append([name.replace("_", " "), f"{np.mean(losses):.3f}", change])
    print(format_markdown(["without", "loss", "change"], rows))
    return 0


if __name__ == "__main__":
    run_command(main)
