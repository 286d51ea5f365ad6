"""The command `python -m hopgym.meta.train`."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import jax

from hopgym._cli.arguments import Parser, describe_error, format_duration
from hopgym._cli.devices import use_all_cores, use_one_thread
from hopgym._cli.interrupt import StopRequest, leave_on_signals
from hopgym._cli.process import run
from hopgym._cli.provenance import describe_run, format_command
from hopgym._folder_lock import lock_folder
from hopgym.meta import distributed, progress_figure
from hopgym.meta.command_line import (
    check_processes,
    load_plan,
    make_parser,
    make_plan,
)
from hopgym.meta.run_folder import RunFolder
from hopgym.meta.trainer import Stopped, Trainer
from hopgym.optimizers import read_header

UPDATES = 1000  # the paper's
DRAW_SECONDS = 20.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0: all updates were done. 1: stopped early, by the time limit, a signal or an error.
    2: invalid arguments; nothing was changed. 130 or 143: left at once, by a second
    signal or by one before the training began; it can be resumed from the last
    checkpoint.
    """
    parser = make_parser()
    given = vars(parser.parse_args(arguments))
    resume = given.pop("resume", False)
    folder = RunFolder(given.pop("out"))
    with contextlib.ExitStack() as stack:
        try:
            check_processes(given)
            _prepare_devices(given)
            is_new = not folder.path.is_dir()
            if not is_new:
                stack.enter_context(_lock(folder))
            if not resume and distributed.is_leader():
                folder.check_is_free()
            plan = load_plan(folder, given) if resume else make_plan(given)
            if resume:
                provenance = folder.read_provenance()
            else:
                command = format_command("python -m hopgym.meta.train", arguments)
                provenance = describe_run(command)
            target = given.get("updates", provenance.get("updates_planned", UPDATES))
            trainer = Trainer(plan, folder, provenance)
            if is_new:  # nothing is created for invalid arguments
                stack.enter_context(_lock(folder))
                if distributed.is_leader():
                    folder.check_is_free()
            if resume:
                trainer.restore()
        except (KeyError, ValueError, OSError, RuntimeError) as error:
            _refuse(parser, error)
        provenance["updates_planned"] = target
        return Loop(trainer, folder, target, given, resume).run()


@contextlib.contextmanager
def _lock(folder: RunFolder) -> Iterator[None]:
    """Lock the folder of a training, for the process that writes to it.

    **Raises:** as `lock_folder`.
    """
    with contextlib.ExitStack() as stack:
        if distributed.is_leader():
            stack.enter_context(lock_folder(folder.path))
        yield


def _refuse(parser: Parser, error: Exception) -> NoReturn:
    """Exit because of invalid arguments, without waiting for other processes."""
    if jax.process_count() == 1:
        parser.fail(error)
    print(f"{parser.prog}: error: {describe_error(error)}", file=sys.stderr, flush=True)
    os._exit(2)


class Loop:
    """Runs updates, evaluations and checkpoints until all are done or it must stop.

    **Arguments:**

    - `trainer`, `folder`: the training and its files.
    - `target`: number of updates.
    - `given`: options of the command line.
    - `resumed`: whether the training was resumed.
    """

    def __init__(
        self,
        trainer: Trainer,
        folder: RunFolder,
        target: int,
        given: dict[str, Any],
        resumed: bool,
    ):
        self.trainer = trainer
        self.folder = folder
        self.target = target
        self.resumed = resumed
        self.stop = StopRequest(given.get("time_limit"))
        self.checkpoint_every = given.get("checkpoint_every", 30.0)
        self.started = time.perf_counter()
        self.first = trainer.update
        self.saved = self.drawn = self.shown = -1e9
        self.is_leader = distributed.is_leader()

    def run(self) -> int:
        """Train, and return the exit code."""
        with self.stop:
            return self._train()

    def _train(self) -> int:
        trainer = self.trainer
        try:
            if self.resumed:
                self._report(f"resuming after update {self.first}")
            else:
                trainer.save()
            while True:
                if trainer.is_evaluation_due:
                    self._evaluate()
                if trainer.update >= self.target:
                    break
                if self._must_stop():
                    raise Stopped
                self._record(trainer.step(self.stop))
                self._save_if_due()
        except Stopped:
            self._finish()
            self._report(
                f"{self.stop.reason} after update {trainer.update} of {self.target}; "
                "resume with: python -m hopgym.meta.train "
                f"--out {shlex.quote(str(self.folder.path))} --resume"
            )
            return 1
        except OSError as error:
            self._report(
                f"error: cannot write to {self.folder.path}: {describe_error(error)}"
            )
            return 1
        except Exception as error:
            if jax.process_count() == 1:
                raise
            self._report(
                f"error: update {trainer.update + 1} failed, perhaps because another "
                f"process has ended: {str(error).partition(chr(10))[0]}; restart all "
                "processes with --resume"
            )
            # Exit without waiting for the other processes, which may have ended.
            sys.stderr.flush()
            os._exit(1)
        self._finish()
        path = self.folder.path
        if self.is_leader:
            best = read_header(path / "best.eqx")["updates"]
            self._report(
                f"{trainer.update} updates done in {format_duration(trainer.elapsed)}: "
                f"{path}/weights.eqx, best.eqx (of update {best}), progress.png"
            )
        return 0

    def _evaluate(self) -> None:
        found = self.trainer.evaluate(self.stop)
        self._record({"update": self.trainer.update, "evaluation": found})

    def _record(self, entry: dict[str, Any]) -> None:
        entry["elapsed"] = round(self.trainer.elapsed, 3)
        if self.is_leader:
            self.folder.log(entry)
            self._show(entry)

    def _show(self, entry: dict[str, Any]) -> None:
        now = time.perf_counter()
        evaluation = entry.get("evaluation")
        if evaluation is None and now - self.shown < 10 and not sys.stderr.isatty():
            return
        self.shown = now
        done = self.trainer.update - self.first
        spent = now - self.started
        left = (
            format_duration(spent / done * (self.target - self.trainer.update))
            if done
            else "?"
        )
        parts = [f"update {self.trainer.update}/{self.target}"]
        if "loss" in entry:
            parts.append(f"loss {entry['loss']:.4f}")
            parts.append(f"{entry['steps_per_second'] / 1e3:,.0f}k steps/s")
        for name, cell in (evaluation or {}).items():
            hits = (
                "" if cell["hits"] is None else f" hits {cell['hits']}/{cell['starts']}"
            )
            losses = f"final {cell['final_loss']:.4f} best {cell['best_loss']:.4f}"
            if "first_hit_loss" in cell:
                losses = f"first hits {cell['first_hit_loss']:.4f}"
            parts.append(f"{name}: {losses}{hits}")
        self._report("  ".join([*parts, f"{left} left"]))

    def _save_if_due(self) -> None:
        now = time.perf_counter()
        (due,) = distributed.broadcast(int(now - self.saved >= self.checkpoint_every))
        if due:
            self.trainer.save()
            self.saved = time.perf_counter()
        if self.is_leader and now - self.drawn >= DRAW_SECONDS:
            self._draw()

    def _finish(self) -> None:
        self.trainer.save()
        if self.is_leader:
            self._draw()

    def _draw(self) -> None:
        plan = self.trainer.plan
        names = ", ".join(name for _, name in plan.systems)
        title = f"{plan.strategy} on {names}, seed {plan.seed}"
        progress_figure.draw(
            self.folder.path / "progress.png", self.folder.read_metrics(), title
        )
        self.drawn = time.perf_counter()

    def _must_stop(self) -> bool:
        return bool(distributed.broadcast(int(self.stop()))[0])

    def _report(self, text: str) -> None:
        if self.is_leader:
            print(text, file=sys.stderr, flush=True)


def _prepare_devices(given: dict[str, Any]) -> None:
    """Set up a device for each core, or join the other processes."""
    if given.get("processes", 1) == 1 and "cluster" not in given:
        use_all_cores(one_thread_each=True)
        return
    use_one_thread()
    distributed.join(
        given.get("coordinator"), given.get("processes"), given.get("process")
    )
    leave_on_signals()


if __name__ == "__main__":
    run(main)
