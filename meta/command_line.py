"""The command line of meta-training: its options, and the plan that they describe."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hopgym._cli.arguments import (
    MAX_COUNT,
    Parser,
    describe_error,
    parse_count,
    parse_integer,
    parse_names,
    parse_not_negative,
    parse_positive,
    parse_seed,
    parse_starts,
)
from hopgym.meta import schedule
from hopgym.meta.plan import DURATIONS, TrainingPlan, get_names
from hopgym.meta.run_folder import RunFolder
from hopgym.meta.strategies import STRATEGIES, AbstractSettings, get_strategy
from hopgym.meta.unroll import LOSS_KINDS
from hopgym.optimizers import learned
from hopgym.optimizers.learned import (
    ARCHITECTURES,
    CHOICES,
    FEATURES,
    GROUPS,
    KNOWING,
    MOVE_KINDS,
)
from hopgym.systems import System, get_system

EXAMPLES = """\
examples:
  python -m hopgym.meta.train --systems LJ-13 --strategy esmc --updates 1000 \\
      --unroll 50000 --out runs/lj13
  python -m hopgym.meta.train --out runs/lj13 --resume
  python -m hopgym.meta.train --systems LJ-13,LJ-38@200 --unroll 2000,10000@300 \\
      --loss best --updates 500 --out runs/curriculum
  python -m hopgym.meta.train --optimizer bh-symmetric --strategy sep-cma \\
      --systems LJ-19,LJ-31,LJ-38 --evaluation-systems LJ-26,LJ-55 --unroll 10000 \\
      --loss first-hit --out runs/search
  python -m hopgym.meta.train ... --coordinator HOST:PORT --processes 2 --process 0

Values can change during training: VALUE@UPDATE holds from that update on; systems are
added. Defaults are the paper's values.
"""
ARCHITECTURE_OPTIONS = (
    *("features", "kinds", "hidden", "depth"),
    *("choice", "quench_end", "moves", "restarts"),
)


def make_parser() -> Parser:
    """Parser of all options; those that are not given are absent from its result."""
    parser = Parser(
        prog="hopgym.meta.train",
        description="Train an optimizer to find low minima of systems.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    count: dict[str, Any] = {"type": parse_count, "metavar": "N"}
    starts: dict[str, Any] = {"type": parse_starts, "metavar": "N"}
    seconds: dict[str, Any] = {"type": parse_positive, "metavar": "S"}

    add = parser.add_argument_group("run").add_argument
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the run")
    add("--resume", action="store_true", help="resume the run in DIR")
    add("--updates", **count, help="number of meta-updates, default 1000")
    add("--time-limit", **seconds, help="stop after S seconds")
    add("--checkpoint-every", **seconds, help="seconds between checkpoints, default 30")
    add("--seed", type=parse_seed, metavar="N", help="random seed, default 0")

    add = parser.add_argument_group("optimizer, systems and loss").add_argument
    add("--systems", metavar="A,B@U", help="systems to train on, default LJ-13")
    add("--unroll", metavar="N,N@U", help="steps per run, default 50000")
    add("--loss", choices=LOSS_KINDS, help="what counts, default final")
    add("--unbounded", action="store_true", help="do not bound losses at zero")
    add("--polish", type=_parse_steps, metavar="N", help="polish steps, default 1000")
    add("--optimizer", metavar="NAME", help=f"one of {', '.join(ARCHITECTURES)}")
    features = f"inputs of learn2hop, default {','.join(FEATURES)}"
    add("--features", metavar="A,B", help=features)
    add("--kinds", type=int, choices=(1, 2), help="species learn2hop distinguishes")
    hidden = "width of hidden layers, default 32, of bh-symmetric's network 8"
    add("--hidden", **count, help=hidden)
    add("--depth", **count, help="number of dense layers, default 2")
    choices = f"how bh-symmetric chooses groups: {', '.join(CHOICES)}; default merit"
    add("--choice", metavar="NAME", help=choices)
    ends = "bh-lbfgs, bh-symmetric: learn when to end quenches early"
    add("--quench-end", action="store_true", help=ends)
    moves = f"of bh-lbfgs, treat atoms: {' or by a '.join(MOVE_KINDS)}; default alike"
    add("--moves", metavar="KIND", help=moves)
    restarts = "bh-lbfgs: learn when to restart"
    add("--restarts", action="store_true", help=restarts)
    add("--start-from", metavar="NAME", help="trained optimizer, by name or file")
    recorded = "train the choice of groups only, on the epochs of hopgym.meta.record"
    add("--epochs", metavar="DIR", help=recorded)
    share = "with --epochs: in this fraction of runs hits of one family do not count"
    add("--withheld", type=parse_not_negative, metavar="X", help=share)
    rest = "train the rules of epochs only; groups are drawn by their hits in DIR"
    add("--rates", metavar="DIR", help=rest)
    only = "train these constants of a search, default: all that apply"
    add("--only", metavar="A,B", type=parse_names, help=only)

    add = parser.add_argument_group("strategy").add_argument
    add("--strategy", metavar="NAME", help=f"one of {', '.join(STRATEGIES)}")
    for name, (kind, text) in _collect_settings().items():
        add(_to_option(name), type=kind, metavar="N", help=text)

    add = parser.add_argument_group("evaluation on held-out starts").add_argument
    add("--evaluate-every", **count, help="evaluate every N updates, default 10")
    add("--evaluation-starts", **starts, help="number of starts, default 40")
    add("--evaluation-steps", **count, help="steps per start, default: first unroll")
    own = "held-out systems, default: those of the training"
    add("--evaluation-systems", metavar="A,B", type=parse_names, help=own)

    add = parser.add_argument_group("several processes or hosts").add_argument
    add("--coordinator", metavar="HOST:PORT", help="address of process 0")
    add("--processes", **count, help="number of processes")
    add("--process", type=_parse_steps, metavar="K", help="index of this process")
    add("--cluster", action="store_true", help="detect Slurm, Open MPI or Kubernetes")
    return parser


def check_processes(given: dict[str, Any]) -> None:
    """Check the options for several processes.

    **Raises:** `ValueError` if one of them is missing or out of range.
    """
    parts = [name in given for name in ("coordinator", "processes", "process")]
    if any(parts) and not all(parts):
        raise ValueError("--coordinator, --processes and --process go together")
    if all(parts) and given["process"] >= given["processes"]:
        raise ValueError(
            f"--process must be below --processes, got {given['process']} and "
            f"{given['processes']}"
        )


def make_plan(given: dict[str, Any]) -> TrainingPlan:
    """Make a plan from the options given on the command line.

    **Raises:** `KeyError` for unknown names; `ValueError` for invalid values, and for
    options that the strategy or the optimizer does not have.
    """
    unroll = schedule.parse(given.get("unroll", "50000"), _parse_length)
    first_unroll = schedule.get_value(unroll, 0)
    systems = schedule.parse(given.get("systems", "LJ-13"), lambda name: name)
    found = [get_system(name) for _, name in systems]
    if not given.get("evaluation_systems", [""]):
        raise ValueError("--evaluation-systems needs at least one name")
    strategy = given.get("strategy", "esmc")
    options = ("loss", "polish", "seed", "evaluate_every", "evaluation_starts")
    options += ("evaluation_systems", "epochs", "withheld", "rates", "only")
    return TrainingPlan(
        systems=systems,
        unroll=unroll,
        strategy=strategy,
        settings=_make_settings(strategy, given, first_unroll),
        bounded="unbounded" not in given,
        architecture=_make_architecture(given, found),
        start_from=given.get("start_from"),
        evaluation_steps=given.get("evaluation_steps", first_unroll),
        **{name: given[name] for name in options if name in given},
    )


def load_plan(folder: RunFolder, given: dict[str, Any]) -> TrainingPlan:
    """Load the plan of the training in a folder.

    **Raises:** `ValueError` if there is none, if it was written by another version of
    hopgym, or if the options contradict it.
    """
    header = folder.read_header()
    try:
        plan = TrainingPlan.from_json(header["plan"])
    except (KeyError, ValueError) as error:
        raise ValueError(f"{folder.path}: {describe_error(error)}") from error
    free = {"out", "resume", "updates", "time_limit", "checkpoint_every"}
    free |= {"coordinator", "processes", "process", "cluster"}
    fixed = {name: value for name, value in given.items() if name not in free}
    if not fixed:
        return plan
    stored = _flatten(plan)
    requested = _flatten(make_plan({**_list_given(plan), **fixed}))
    changed = sorted(
        name
        for name in {_to_entry(option) for option in fixed}
        if requested[name] != stored.get(name)
    )
    if changed:
        shown = ", ".join(
            f"{name} is {stored.get(name)}, not {requested[name]}" for name in changed
        )
        raise ValueError(f"{folder.path} is another run: {shown}")
    return plan


def _list_given(plan: TrainingPlan) -> dict[str, Any]:
    """Options of a plan on which the meaning of others depends."""
    names = ("strategy", "loss", "epochs", "rates", "start_from")
    given = {name: getattr(plan, name) for name in names}
    if plan.start_from is None:
        given |= plan.architecture
        given["optimizer"] = given.pop("name")
        if "features" in given:
            given["features"] = ",".join(given["features"])
    return {name: value for name, value in given.items() if value is not None}


def _collect_settings() -> dict[str, tuple[Callable[[str], Any], str]]:
    """Parser and help of the options of all strategies, by name of the setting."""
    entries = {
        entry.name: entry
        for strategy in STRATEGIES.values()
        for entry in dataclasses.fields(strategy.settings_class)
        if entry.name != "unroll"  # an option of all strategies
    }
    collected = {}
    for name, entry in entries.items():
        users = [key for key, s in STRATEGIES.items() if name in get_names(s)]
        description = entry.metadata.get("description", "")
        text = f"{description} ({', '.join(users)}), default {entry.default}"
        collected[name] = _choose_parser(entry), text
    return collected


def _choose_parser(entry: dataclasses.Field[Any]) -> Callable[[str], Any]:
    """The parser of the option of a setting."""
    if not isinstance(entry.default, int):
        return parse_positive
    return parse_count if entry.name in DURATIONS else parse_starts


def _make_settings(
    strategy: str, given: dict[str, Any], unroll: int
) -> AbstractSettings:
    """Make the settings of a strategy from the given options."""
    names = get_names(get_strategy(strategy))
    for name in _collect_settings():
        if name in given and name not in names:
            raise ValueError(
                f"{strategy} has no option {_to_option(name)}; it has "
                + ", ".join(_to_option(own) for own in names)
            )
    values = {**given, "unroll": unroll}
    return get_strategy(strategy).settings_class(
        **{name: values[name] for name in names if name in values}
    )


def _make_architecture(
    given: dict[str, Any], systems: Sequence[System]
) -> dict[str, Any]:
    """Name and options of the optimizer to train."""
    start_from = given.get("start_from")
    if start_from is not None:
        stored = learned.read_header(start_from)["architecture"]
        chooses = stored["name"] == "bh-symmetric" and "choice" in given
        own = ("choice", "hidden") if chooses else ()
        for option in ("optimizer", *ARCHITECTURE_OPTIONS):
            if option in given and option not in own:
                raise ValueError(
                    "--start-from determines the architecture: leave out "
                    f"{_to_option(option)}"
                )
        architecture = {**stored, **{n: given[n] for n in own if n in given}}
        return _count_known(architecture, given, systems)
    name = given.get("optimizer", "learn2hop")
    architecture: dict[str, Any] = {"name": name}
    architecture |= {key: given[key] for key in ARCHITECTURE_OPTIONS if key in given}
    if "features" in given:
        architecture["features"] = parse_names(given["features"])
    if name == "learn2hop":
        one_species = max(len(system.elements) for system in systems) == 1
        architecture.setdefault("kinds", 1 if one_species else 2)
    if name in ARCHITECTURES:
        # All options are recorded, since the defaults may change.
        parameters = inspect.signature(ARCHITECTURES[name]).parameters
        for key, parameter in parameters.items():
            if key != "key":
                value = parameter.default
                value = list(value) if isinstance(value, tuple) else value
                architecture.setdefault(key, value)
    return _count_known(architecture, given, systems)


def _count_known(
    architecture: dict[str, Any], given: dict[str, Any], systems: Sequence[System]
) -> dict[str, Any]:
    """A search that knows rates learns those of the systems of its training."""
    if architecture.get("choice") in KNOWING and "epochs" in given:
        return {**architecture, "known": len(systems), "groups": list(GROUPS)}
    return architecture


def _flatten(plan: TrainingPlan) -> dict[str, Any]:
    """Entries of a plan and of its settings, in one dictionary."""
    entries = plan.to_json()
    # It is a matter of the systems.
    entries["architecture"].pop("known", None)
    return entries["settings"] | entries


def _to_entry(option: str) -> str:
    """The entry of a plan that an option determines."""
    renamed = {"unbounded": "bounded", "optimizer": "architecture"}
    renamed |= dict.fromkeys(ARCHITECTURE_OPTIONS, "architecture")
    return renamed.get(option, option)


def _to_option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _parse_length(text: str) -> int:
    try:
        return parse_count(text)
    except argparse.ArgumentTypeError as error:
        raise ValueError(f"--unroll: {error}") from None


def _parse_steps(text: str) -> int:
    return parse_integer(text, 0, MAX_COUNT)
