"""Meta-training from the command line: python -m hopgym.meta.train --help."""

from __future__ import annotations

import argparse
import inspect
import os
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import jax

from hopgym.meta import distributed, figure, schedule
from hopgym.meta.folder import Folder
from hopgym.meta.strategies import STRATEGIES, Settings
from hopgym.meta.trainer import Plan, Stopped, Trainer
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
DRAW_SECONDS = 20.0


class Parser(argparse.ArgumentParser):
    """Errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


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
        settings=Settings(**numbers, unroll=schedule.present(unroll, 0)),
        bounded="unbounded" not in given,
        architecture=architecture,
        start_from=start_from,
        evaluation_steps=given.get("evaluation_steps", schedule.present(unroll, 0)),
        **optional,
    )


def resumed(folder: Folder, given: dict[str, Any]) -> Plan:
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
        raise ValueError(f"{text!r} is no whole number") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Train; the exit code.

    0: all updates are done. 1: stopped before, by the time limit or by a signal, or by
    an error. 2: the command makes no sense; nothing was changed.
    """
    options = parser()
    given = vars(options.parse_args(arguments))
    resume = given.pop("resume", False)
    folder = Folder(given.pop("out"))
    try:
        _check(given)
        _devices(given)
        updates = given.get("updates")
        chosen = resumed(folder, given) if resume else plan(given)
        words = sys.argv[1:] if arguments is None else arguments
        about = _about(folder, resume, words)
        if not resume:
            about["updates_planned"] = updates or 1000
        target = updates or about["updates_planned"]
        trainer = Trainer(chosen, folder, about)
        if resume:
            trainer.restore()
        elif distributed.leads():
            folder.create()
    except KeyError as error:
        options.error(error.args[0])
    except (ValueError, OSError, RuntimeError) as error:
        options.error(str(error).partition("\n")[0])
    about["updates_planned"] = target
    return Loop(trainer, folder, target, given, resume).go()


class Loop:
    """Updates until all are done or it is time to stop."""

    def __init__(
        self,
        trainer: Trainer,
        folder: Folder,
        target: int,
        given: dict[str, Any],
        resumed: bool,
    ):
        self.trainer = trainer
        self.folder = folder
        self.target = target
        self.resumed = resumed
        self.limit = given.get("time_limit")
        self.pause = given.get("checkpoint_every", 30.0)
        self.began = time.perf_counter()
        self.first = trainer.update
        self.signalled = False
        self.saved = self.drawn = self.shown = -1e9
        self.leads = distributed.leads()

    def go(self) -> int:
        """Train; the exit code."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._signal)
        trainer = self.trainer
        try:
            if not self.resumed:
                trainer.save()
            if self.resumed:
                self._say(f"going on after update {self.first}")
            while True:
                if trainer.due():
                    self._evaluate()
                if trainer.update >= self.target:
                    break
                if self._agreed_stop():
                    raise Stopped
                self._record(trainer.step(self._stop))
                self._save_now_and_then()
        except Stopped:
            self._finish()
            why = "stopped" if self.signalled else "time limit reached"
            self._say(
                f"{why} after update {trainer.update} of {self.target}; go on with: "
                f"python -m hopgym.meta.train --out {self.folder.path} --resume"
            )
            return 1
        except OSError as error:
            self._say(f"error: cannot write to {self.folder.path}: {error}")
            return 1
        except Exception as error:
            if jax.process_count() == 1:
                raise
            self._say(
                f"error: update {trainer.update + 1} failed, another process may have "
                f"ended: {str(error).partition(chr(10))[0]}; the checkpoint is kept, "
                "start all processes again with --resume"
            )
            # The others are not waited for: they may be gone.
            sys.stderr.flush()
            os._exit(1)
        self._finish()
        self._say(
            f"{trainer.update} updates done in {_clock(trainer.elapsed)}: "
            f"{self.folder.path}/weights.eqx, best.eqx, progress.png"
        )
        return 0

    def _evaluate(self) -> None:
        found = self.trainer.evaluate(self._stop)
        self._record({"update": self.trainer.update, "evaluation": found})

    def _record(self, entry: dict[str, Any]) -> None:
        entry["elapsed"] = round(self.trainer.elapsed, 3)
        if self.leads:
            self.folder.log(entry)
            self._show(entry)

    def _show(self, entry: dict[str, Any]) -> None:
        now = time.perf_counter()
        evaluation = entry.get("evaluation")
        if evaluation is None and now - self.shown < 10 and not sys.stderr.isatty():
            return
        self.shown = now
        done = self.trainer.update - self.first
        spent = now - self.began
        left = (
            _clock(spent / done * (self.target - self.trainer.update)) if done else "?"
        )
        parts = [f"update {self.trainer.update}/{self.target}"]
        if "loss" in entry:
            parts.append(f"loss {entry['loss']:.4f}")
            parts.append(f"{entry['steps_per_second'] / 1e3:,.0f}k steps/s")
        for name, cell in (evaluation or {}).items():
            hits = (
                "" if cell["hits"] is None else f" hits {cell['hits']}/{cell['starts']}"
            )
            parts.append(
                f"{name}: final {cell['final_loss']:.4f} best "
                f"{cell['best_loss']:.4f}{hits}"
            )
        self._say("  ".join([*parts, f"{left} left"]))

    def _save_now_and_then(self) -> None:
        now = time.perf_counter()
        (due,) = distributed.agreed(int(now - self.saved >= self.pause))
        if due:
            self.trainer.save()
            self.saved = time.perf_counter()
        if self.leads and now - self.drawn >= DRAW_SECONDS:
            self._draw()

    def _finish(self) -> None:
        self.trainer.save()
        if self.leads:
            self._draw()

    def _draw(self) -> None:
        plan = self.trainer.plan
        names = ", ".join(name for _, name in plan.systems)
        title = f"{plan.strategy} on {names}, seed {plan.seed}"
        figure.draw(self.folder.path / "progress.png", self.folder.metrics(), title)
        self.drawn = time.perf_counter()

    def _stop(self) -> bool:
        spent = time.perf_counter() - self.began
        return self.signalled or (self.limit is not None and spent > self.limit)

    def _agreed_stop(self) -> bool:
        return bool(distributed.agreed(int(self._stop()))[0])

    def _signal(self, number: int, frame: Any) -> None:
        if self.signalled:
            raise KeyboardInterrupt
        self.signalled = True

    def _say(self, text: str) -> None:
        if self.leads:
            print(text, file=sys.stderr, flush=True)


def _check(given: dict[str, Any]) -> None:
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


def _devices(given: dict[str, Any]) -> None:
    """A device for each core of this process, and the other processes."""
    # Devices that share out their work as well get in each other's way.
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_cpu_multi_thread_eigen" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    together = given.get("processes", 1) > 1 or "cluster" in given
    try:
        if not together:
            jax.config.update("jax_num_cpu_devices", _cores())
    except RuntimeError:  # JAX is at work already, as in tests
        pass
    if together:
        distributed.join(
            given.get("coordinator"), given.get("processes"), given.get("process")
        )


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _about(folder: Folder, resume: bool, words: Sequence[str]) -> dict[str, Any]:
    """What the headers of all files tell: command, versions, date, machine."""
    if resume:
        kept = ("command", "versions", "date", "devices", "updates_planned")
        return {name: folder.header()[name] for name in kept}
    packages = ("hopgym", "jax", "jaxlib", "equinox", "evosax", "optax")
    devices = jax.devices()
    return {
        "command": " ".join(["python -m hopgym.meta.train", *words]),
        "versions": {name: version(name) for name in packages},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "devices": f"{len(devices)} x {devices[0].device_kind}",
    }


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


if __name__ == "__main__":
    sys.exit(main())
