"""The command line of meta-training: what is asked for, checked before it is done."""

from __future__ import annotations

import argparse
import inspect
from pathlib import Path
from typing import Any

from hopgym._cli.arguments import Parser
from hopgym.meta import schedule
from hopgym.meta.run_folder import RunFolder
from hopgym.meta.strategies import STRATEGIES, Settings
from hopgym.meta.trainer import Plan
from hopgym.meta.unroll import KINDS
from hopgym.optimizers import learned
from hopgym.optimizers.learned import ARCHITECTURES, FEATURES
from hopgym.systems import get_system

EXAMPLES = """\
examples:
  python -m hopgym.meta.train --systems LJ-13 --strategy esmc --updates 1000 \\
      --unroll 50000 --out runs/lj13
  python -m hopgym.meta.train --out runs/lj13 --resume
  python -m hopgym.meta.train --systems LJ-13,LJ-38@200 --unroll 2000,10000@300 \\
      --loss best --updates 500 --out runs/curriculum
  python -m hopgym.meta.train ... --coordinator HOST:PORT --processes 2 --process 0

Values may change in the course of a training: VALUE@UPDATE holds from that update on;
systems are added. Defaults are the paper's values.
"""


def parser() -> Parser:
    """All options. Those that are not given are not in the result."""
    options = Parser(
        prog="hopgym.meta.train",
        description="Train an optimizer on systems, so that it finds low minima.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    usual = Settings()
    run = options.add_argument_group("run")
    add = run.add_argument
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the run")
    add("--resume", action="store_true", help="go on with the run in DIR")
    add("--updates", type=int, metavar="N", help="meta-updates, default 1000")
    add("--time-limit", type=float, metavar="S", help="stop after so many seconds")
    add(
        "--checkpoint-every",
        type=float,
        metavar="S",
        help="seconds between checkpoints, default 30",
    )
    add("--seed", type=int, help="of everything random, default 0")

    what = options.add_argument_group("what is trained on what")
    add = what.add_argument
    add("--systems", metavar="A,B@U", help="default LJ-13")
    add("--unroll", metavar="N,N@U", help="updates in a run, default 50000")
    add("--loss", choices=KINDS, help="default final")
    add(
        "--unbounded",
        action="store_true",
        help="energies above zero do not count as zero",
    )
    add("--polish", type=int, metavar="N", help="default 1000")
    add("--optimizer", metavar="NAME", help=f"one of {', '.join(ARCHITECTURES)}")
    add("--features", metavar="A,B", help=f"of learn2hop, default {','.join(FEATURES)}")
    add("--kinds", type=int, choices=(1, 2), help="species that learn2hop tells apart")
    add("--hidden", type=int, help="width of hidden layers, default 32")
    add("--depth", type=int, help="dense layers, default 2")
    add(
        "--start-from",
        metavar="NAME",
        help="trained optimizer to begin with, by name or file",
    )

    how = options.add_argument_group("strategy")
    add = how.add_argument
    add("--strategy", metavar="NAME", help=f"one of {', '.join(STRATEGIES)}")
    numbers = (
        ("instances", int, "starts of an update"),
        ("sigma", float, "standard deviation of perturbations"),
        ("learning-rate", float, "of Adam"),
        ("decay", float, "factor of the learning rate"),
        ("decay-every", int, "updates between such factors"),
        ("population", int, "candidates of ga"),
        ("ga-starts", int, "starts on which ga compares candidates"),
        ("truncation", int, "length of the pieces of pes"),
    )
    for name, kind, text in numbers:
        value = getattr(usual, name.replace("-", "_"))
        add(f"--{name}", type=kind, help=f"{text}, default {value}")

    check = options.add_argument_group("evaluation on held-out starts")
    add = check.add_argument
    add("--evaluate-every", type=int, metavar="N", help="updates, default 10")
    add("--evaluation-starts", type=int, metavar="N", help="default 40")
    add("--evaluation-steps", type=int, metavar="N", help="default: the first unroll")

    many = options.add_argument_group("several processes or hosts")
    add = many.add_argument
    add("--coordinator", metavar="HOST:PORT", help="where process 0 listens")
    add("--processes", type=int, metavar="N", help="how many there are")
    add("--process", type=int, metavar="K", help="which one this is")
    add("--cluster", action="store_true", help="ask Slurm, Open MPI or Kubernetes")
    return options


def plan(given: dict[str, Any]) -> Plan:
    """The plan that options ask for.

    **Raises:** `ValueError` or `KeyError` for what makes no sense.
    """
    numbers = {
        name: given[name]
        for name in Settings.__dataclass_fields__
        if name in given and name != "unroll"
    }
    unroll = schedule.parse(given.get("unroll", "50000"), _whole)
    first_unroll = schedule.present(unroll, 0)
    systems = schedule.parse(given.get("systems", "LJ-13"), lambda name: name)
    found = [get_system(name) for _, name in systems]
    optimizer = given.get("optimizer", "learn2hop")
    architecture: dict[str, Any] = {"name": optimizer}
    for option in ("features", "kinds", "hidden", "depth"):
        if option in given:
            architecture[option] = given[option]
    if "features" in given:
        architecture["features"] = [
            name.strip() for name in given["features"].split(",") if name.strip()
        ]
    if optimizer == "learn2hop":
        blind = max(len(system.elements) for system in found) == 1
        architecture.setdefault("kinds", 1 if blind else 2)
    if optimizer in ARCHITECTURES:
        # All of them are written down: defaults may change.
        for name, option in inspect.signature(
            ARCHITECTURES[optimizer]
        ).parameters.items():
            if name != "key":
                value = option.default
                value = list(value) if isinstance(value, tuple) else value
                architecture.setdefault(name, value)
    start_from = given.get("start_from")
    if start_from is not None:
        for option in ("optimizer", "features", "kinds", "hidden", "depth"):
            if option in given:
                raise ValueError(
                    f"--start-from settles the architecture: no --{option}"
                )
        architecture = learned.about(start_from)["architecture"]
    optional = {
        name: given[name]
        for name in (
            "strategy",
            "loss",
            "polish",
            "seed",
            "evaluate_every",
            "evaluation_starts",
        )
        if name in given
    }
    return Plan(
        systems=systems,
        unroll=unroll,
        settings=Settings(**numbers, unroll=first_unroll),
        bounded="unbounded" not in given,
        architecture=architecture,
        start_from=start_from,
        evaluation_steps=given.get("evaluation_steps", first_unroll),
        **optional,
    )


def resumed(folder: RunFolder, given: dict[str, Any]) -> Plan:
    """The plan of the run in a folder.

    **Raises:** `ValueError` if there is no run, or if options ask for something else.
    """
    stored = folder.header()["plan"]
    stored_plan = Plan(
        **{
            **stored,
            "systems": [tuple(entry) for entry in stored["systems"]],
            "unroll": [tuple(entry) for entry in stored["unroll"]],
            "settings": Settings(**stored["settings"]),
        }
    )
    free = {"out", "resume", "updates", "time_limit", "checkpoint_every"}
    free |= {"coordinator", "processes", "process", "cluster"}
    asked = {name: value for name, value in given.items() if name not in free}
    if asked:
        wanted = plan(asked).as_json()
        names = {*_plan_names(asked)}
        changed = sorted(
            name for name in names if _entry(wanted, name) != _entry(stored, name)
        )
        if changed:
            shown = ", ".join(
                f"{name} is {_entry(stored, name)}, not {_entry(wanted, name)}"
                for name in changed
            )
            raise ValueError(f"{folder.path} is another run: {shown}")
    return stored_plan


def _plan_names(given: dict[str, Any]) -> list[str]:
    renamed = {"unbounded": "bounded", "optimizer": "architecture"}
    renamed |= dict.fromkeys(("features", "kinds", "hidden", "depth"), "architecture")
    return [renamed.get(name, name) for name in given]


def _entry(plan: dict[str, Any], name: str) -> Any:
    return plan[name] if name in plan else plan["settings"][name]


def _whole(text: str) -> int:
    try:
        return int(text.replace("_", ""))
    except ValueError:
        raise ValueError(f"{text!r} is not an integer") from None


def check(given: dict[str, Any]) -> None:
    """Raise `ValueError` for options that make no sense whatever is trained."""
    if given.get("updates", 1) < 1:
        raise ValueError(f"--updates must be at least 1, got {given['updates']}")
    for name in ("time_limit", "checkpoint_every"):
        if not given.get(name, 1) > 0:
            option = name.replace("_", "-")
            raise ValueError(f"--{option} must be positive, got {given[name]}")
    if not 0 <= given.get("seed", 0) < 2**31:
        raise ValueError(f"--seed must be between 0 and 2^31, got {given['seed']}")
    parts = [name in given for name in ("coordinator", "processes", "process")]
    if any(parts) and not all(parts):
        raise ValueError("--coordinator, --processes and --process go together")
    if all(parts) and not 0 <= given["process"] < given["processes"]:
        raise ValueError(
            f"--process must be below --processes, got {given['process']} and "
            f"{given['processes']}"
        )
