"""Trains the weights of a study, each in a folder of its own."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.paper.study import METRICS, AbstractStudy, Training
from hopgym._atomic_write import atomic_write
from hopgym._cli.arguments import Parser
from hopgym._cli.interrupt import StopRequest
from hopgym._cli.lookup import check_names
from hopgym._cli.progress import say
from hopgym._folder_lock import InUse, lock_folder
from hopgym.meta import run_folder
from hopgym.meta.train import main as run_training
from hopgym.optimizers.learned import SUFFIX, read_header

RUNS = "cells"  # of trainings, beside the weights: as cells, they are not committed
QUICK = ("--unroll", "100", "--evaluation-starts", "4")
QUICK_UPDATES = 2


def train(parser: Parser, args: argparse.Namespace, study: AbstractStudy) -> int:
    """Train the weights of a study that its folder lacks, and return the exit code.

    With `--quick` only those that are needed then, and hardly trained. Those that
    another process trains at the time are left to it. The codes are those of
    `hopgym.meta.train`.
    """
    trainings = {one.name: one for one in study.list_trainings()}
    if not trainings:
        parser.error(f"{study.name} has no trainings: leave out --train")
    used = {plan.optimizer for plan in study.list_cells(args.quick)} or trainings
    chosen = args.optimizers or [name for name in trainings if name in used]
    try:
        check_names("training", chosen, trainings)
    except ValueError as error:
        parser.fail(error)
    stop = StopRequest(args.time_limit)
    for number, name in enumerate(chosen, 1):
        training, label = trainings[name], f"[{number}/{len(chosen)}] {name}"
        weights = args.out / f"{name}{SUFFIX}"
        if weights.is_file():
            _check_updates(weights, _choose_updates(training, args), parser)
            say(f"{label}  trained before")
            continue
        if stop():
            say("time limit reached: the same command resumes")
            return 1
        run = args.out / RUNS / name
        try:
            with lock_folder(run):
                pass
        except InUse:
            say(f"{label}  is trained by another process")
            continue
        except OSError as error:
            parser.fail(error)
        say(label)
        try:
            code = run_training(_list_arguments(training, run, args, stop.seconds_left))
            if code:
                say("the same command of reproduce.py resumes")
                return code
            metrics = (run / run_folder.METRICS).read_bytes()
            atomic_write(args.out / f"{name}{METRICS}", metrics)
            atomic_write(weights, (run / f"best{SUFFIX}").read_bytes())
        except OSError as error:
            parser.fail(error)
    return 0


def _list_arguments(
    training: Training, run: Path, args: argparse.Namespace, seconds: float
) -> list[str]:
    """Arguments of `hopgym.meta.train`."""
    words = [*training.options, *(QUICK if args.quick else ())]
    words += ["--out", str(run), "--updates", str(_choose_updates(training, args))]
    if seconds < float("inf"):
        words += ["--time-limit", str(max(1.0, seconds))]
    if (run / run_folder.CHECKPOINT).exists():
        words.append("--resume")
    return words


def _choose_updates(training: Training, args: argparse.Namespace) -> int:
    return args.updates or (QUICK_UPDATES if args.quick else training.updates)


def _check_updates(weights: Path, updates: int, parser: Parser) -> None:
    """End the command if weights are those of a shorter or longer training."""
    try:
        found = read_header(weights).get("updates_planned")
    except ValueError as error:
        parser.fail(error)
    if found != updates:
        parser.error(
            f"{weights} was trained for {found} updates, not {updates}: remove it, or "
            "choose another folder"
        )
