"""The loop of meta-training: ask, unroll, tell, evaluate, checkpoint."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from hopgym._suggest import unknown_name
from hopgym.meta import schedule
from hopgym.meta.batched_unroll import BatchedUnroll
from hopgym.meta.distributed import agreed, leads
from hopgym.meta.run_folder import RunFolder
from hopgym.meta.strategies import STRATEGIES, Settings
from hopgym.meta.strategies.base import repeated
from hopgym.meta.unroll import KINDS, Outcome, Run, scaled_loss
from hopgym.optimizers import learned
from hopgym.systems import System, get_system

# Held-out starts: no training and no benchmark draws from this key by default.
EVALUATION_SEED = 1_000_000
CALL_SECONDS = 0.5  # between looks at the clock
ASK, STARTS, TELL = 0, 1, 2  # streams of randomness of an update


def _never() -> bool:
    return False


class Stopped(Exception):
    """The run was asked to stop; the update under way is lost."""


@dataclass(frozen=True)
class Plan:
    """Everything that the weights depend on.

    **Attributes:**

    - `systems`, `unroll`: names and lengths, with the updates from which they hold.
    - `strategy`, `settings`: see [`hopgym.meta.strategies.Settings`][].
    - `loss`, `bounded`, `polish`: see [`hopgym.meta.meta_loss`][].
    - `architecture`: name and options, see `hopgym.optimizers.learned.weights.new`.
    - `start_from`: trained optimizer whose weights to begin with.
    - `seed`: of everything random.
    - `evaluate_every`, `evaluation_starts`, `evaluation_steps`: evaluations on
      held-out starts, which choose the best weights.

    **Raises:** `ValueError` or `KeyError` for what makes no sense.
    """

    systems: list[tuple[int, str]]
    unroll: list[tuple[int, int]]
    strategy: str = "esmc"
    settings: Settings = field(default_factory=Settings)
    loss: str = "final"
    bounded: bool = True
    polish: int = 1000
    architecture: dict[str, Any] = field(default_factory=lambda: {"name": "learn2hop"})
    start_from: str | None = None
    seed: int = 0
    evaluate_every: int = 10
    evaluation_starts: int = 40
    evaluation_steps: int = 2000

    def __post_init__(self):
        if not self.systems or not self.unroll:
            raise ValueError(
                "a training needs at least one system and an unroll length"
            )
        for what, entries in (("systems", self.systems), ("unroll", self.unroll)):
            if min(start for start, _ in entries) > 0:
                raise ValueError(f"{what}: nothing is given for update 0")
        if min(length for _, length in self.unroll) < 1:
            raise ValueError("an unroll needs at least one update")
        if self.strategy not in STRATEGIES:
            raise KeyError(unknown_name("strategy", self.strategy, list(STRATEGIES)))
        if self.loss not in KINDS:
            raise ValueError(f"a meta-loss is one of {KINDS}, got {self.loss!r}")
        for name in ("evaluate_every", "evaluation_starts", "evaluation_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        if self.polish < 0:
            raise ValueError(f"polish must not be negative, got {self.polish}")

    def as_json(self) -> dict[str, Any]:
        """Plain data, as in the header of a checkpoint."""
        return {
            **dataclasses.asdict(self),
            "systems": [list(entry) for entry in self.systems],
            "unroll": [list(entry) for entry in self.unroll],
        }


class Trainer:
    """A training under way.

    **Arguments:**

    - `plan`: what to do.
    - `folder`: where files go, or `None`.
    - `about`: what headers should tell besides, such as the command.
    """

    def __init__(self, plan: Plan, folder: RunFolder | None, about: dict[str, Any]):
        self.plan = plan
        self.folder = folder
        self.about = about
        self.systems: list[System] = [get_system(name) for _, name in plan.systems]
        architecture = dict(plan.architecture)
        key = jax.random.key(plan.seed)
        if plan.start_from is not None:
            self.optimizer = learned.load(plan.start_from)
        else:
            self.optimizer = learned.new(architecture.pop("name"), key, **architecture)
        self.start, self.frozen = eqx.partition(self.optimizer, eqx.is_inexact_array)
        self.strategy = STRATEGIES[plan.strategy](
            self.start, plan.settings, len(self.systems)
        )
        changes = {start for start, _ in (*plan.systems, *plan.unroll)}
        if self.strategy.persistent and changes != {0}:
            raise ValueError(
                f"{plan.strategy} goes on with the same runs: systems and unroll "
                "cannot change"
            )
        self.fleets = [
            BatchedUnroll(
                system,
                self.optimizer,
                bounded=plan.bounded,
                polish_steps=plan.polish,
            )
            for system in self.systems
        ]
        self.update = 0
        self.state = self.strategy.init(jax.random.fold_in(key, 0))
        self.runs: dict[int, Run] | None = None  # by system
        self.evaluated = -1  # the last update after which there was an evaluation
        self.best = math.inf
        self.elapsed = 0.0
        self.chunk = 50

    # Checkpoints

    def save(self) -> None:
        """Write the checkpoint and the present weights."""
        runs = None if self.runs is None else self._fetched(self.runs)
        if self.folder is None or not leads():
            return
        header = {
            "plan": self.plan.as_json(),
            "update": self.update,
            "evaluated": self.evaluated,
            "best": None if math.isinf(self.best) else self.best,
            "elapsed": round(self.elapsed, 3),
            "runs": runs is not None,
            **self.about,
        }
        self.folder.checkpoint(header, (self.state, runs))
        self._save_weights("weights.eqx")

    def restore(self) -> None:
        """Go on from the checkpoint in the folder.

        **Raises:** `ValueError` if it is damaged or not of this run.
        """
        assert self.folder is not None
        header = self.folder.header()
        self.update = header["update"]
        self.evaluated = header["evaluated"]
        self.best = math.inf if header["best"] is None else header["best"]
        self.elapsed = header["elapsed"]
        runs = None
        if header["runs"]:
            # Any runs will do, to tell how those in the file are laid out.
            key = jax.random.key(0)
            candidates, _ = self.strategy.ask(key, self.state)
            runs = self._fetched(self._begin(candidates, key))
        self.state, runs = self.folder.restore((self.state, runs))
        if runs is not None:
            self.runs = {k: self.fleets[k].restore(run) for k, run in runs.items()}
        if leads():
            self.folder.forget_after(self.update, self.evaluated)

    def present(self) -> Any:
        """The optimizer with the present weights."""
        return eqx.combine(self.strategy.weights(self.state), self.frozen)

    def _save_weights(self, name: str) -> None:
        assert self.folder is not None
        plan = self.plan
        learned.save(
            self.folder.path / name,
            self.present(),
            plan.architecture,
            {
                "systems": [name for _, name in plan.systems],
                "strategy": plan.strategy,
                "updates": self.update,
                "seed": plan.seed,
                "plan": plan.as_json(),
                **self.about,
            },
        )

    # One update

    def step(self, stop: Callable[[], bool] = _never) -> dict[str, Any]:
        """One update; its line of metrics.

        **Raises:** `Stopped` when `stop` says so; nothing has changed then. Persistent
        runs are not interrupted: they could not go back to where they were.
        """
        plan = self.plan
        timer = time.perf_counter()
        if self.strategy.persistent:
            stop = _never
        key = jax.random.fold_in(jax.random.key(plan.seed), self.update + 1)
        keys = [jax.random.fold_in(key, stream) for stream in (ASK, STARTS, TELL)]
        candidates, state = self.strategy.ask(keys[0], self.state)
        unroll = schedule.present(plan.unroll, self.update)
        if self.strategy.persistent:
            steps = min(plan.settings.truncation, unroll)
            pieces = -(-unroll // steps)  # as the strategy counts them
            fresh = self.update % pieces == 0 or self.runs is None
        else:
            steps, fresh = unroll, True
        runs = self._begin(candidates, keys[1]) if fresh else self._rewound()
        rows = self._rows()
        losses = np.zeros(len(self.strategy.of_run))
        for k, run in runs.items():
            own, fleet = rows[k], self.fleets[k]
            weights = _of_rows(candidates, own)
            runs[k] = self._advance(fleet, weights, run, steps, stop)
            losses[own] = fleet.losses(runs[k], len(own), steps, plan.loss)
        self.state = self.strategy.tell(keys[2], state, candidates, losses)
        self.runs = runs if self.strategy.persistent else None
        self.update += 1
        seconds = time.perf_counter() - timer
        entry: dict[str, Any] = {
            "update": self.update,
            "loss": _rounded(losses.mean()),
            "loss_min": _rounded(losses.min()),
            "unroll": unroll,
            "seconds": round(seconds, 3),
            "steps_per_second": round(len(losses) * steps / seconds),
        }
        self.elapsed += seconds
        return entry

    def due(self) -> bool:
        """Whether an evaluation is due: after every so many updates, and at first."""
        every = self.plan.evaluate_every
        return self.update % every == 0 and self.evaluated < self.update

    def evaluate(self, stop: Callable[[], bool] = _never) -> dict[str, Any]:
        """The present weights on held-out starts, by system; keeps the best ones."""
        timer = time.perf_counter()
        plan = self.plan
        found: dict[str, Any] = {}
        instances = np.arange(plan.evaluation_starts)
        weights = repeated(self.strategy.weights(self.state), len(instances))
        for system, fleet in zip(self.systems, self.fleets, strict=True):
            key = jax.random.key(EVALUATION_SEED)
            runs = fleet.begin(key, weights, instances)
            runs = self._advance(fleet, weights, runs, plan.evaluation_steps, stop)
            outcome = fleet.judge(runs, len(instances))
            found[system.name] = _summary(outcome, system, plan.bounded)
        score = float(np.mean([cell["best_loss"] for cell in found.values()]))
        if score < self.best:
            self.best = score
            if self.folder is not None and leads():
                self._save_weights("best.eqx")
        self.evaluated = self.update
        self.elapsed += time.perf_counter() - timer
        return found

    def _fetched(self, runs: dict[int, Run]) -> dict[int, Run]:
        rows = self._rows()
        return {k: self.fleets[k].fetch(run, len(rows[k])) for k, run in runs.items()}

    def _rows(self) -> dict[int, np.ndarray]:
        """The runs of each system that takes part in this update."""
        active = schedule.active(self.plan.systems, self.update)
        turn = self.strategy.of_run * len(active) // self.strategy.instances
        return {k: np.flatnonzero(turn == n) for n, k in enumerate(active)}

    def _begin(self, candidates: PyTree, key: Any) -> dict[int, Run]:
        return {
            k: self.fleets[k].begin(
                key, _of_rows(candidates, own), self.strategy.of_run[own]
            )
            for k, own in self._rows().items()
        }

    def _rewound(self) -> dict[int, Run]:
        """Runs that go on, with their sums of losses back at zero."""
        assert self.runs is not None
        return {
            k: eqx.tree_at(lambda run: run.total, run, 0 * run.total)
            for k, run in self.runs.items()
        }

    def _advance(
        self,
        fleet: BatchedUnroll,
        weights: PyTree,
        runs: Run,
        steps: int,
        stop: Callable[[], bool],
    ) -> Run:
        done = 0
        while done < steps:
            stopping, chunk = agreed(int(stop()), self.chunk)
            if stopping:
                raise Stopped
            chunk = min(chunk, steps - done)
            timer = time.perf_counter()
            runs = fleet.advance(weights, runs, chunk)
            seconds = time.perf_counter() - timer
            done += chunk
            if chunk == self.chunk:
                self.chunk = _adapted(chunk, seconds)
        return runs


def _of_rows(candidates: PyTree, rows: np.ndarray) -> PyTree:
    return jax.tree.map(lambda x: x[rows], candidates)


def _adapted(chunk: int, seconds: float) -> int:
    """A number of steps that takes about `CALL_SECONDS`."""
    factor = min(max(CALL_SECONDS / max(seconds, 1e-6), 0.5), 2.0)
    return max(1, round(chunk * factor))


def _summary(outcome: Outcome, system: System, bounded: bool) -> dict[str, Any]:
    known = system.has_reference
    losses = {
        name: np.asarray(scaled_loss(jnp.asarray(energy), system, bounded=bounded))
        for name, energy in (("best", outcome.best), ("last", outcome.last))
    }
    return {
        "final_loss": _rounded(losses["last"].mean()),
        "best_loss": _rounded(losses["best"].mean()),
        "final_mean": _rounded(np.mean(outcome.last)),
        "mean": _rounded(np.mean(outcome.best)),
        "min": _rounded(np.min(outcome.best)),
        "hits": int(np.sum(outcome.hit)) if known else None,
        "hit_rate": _rounded(np.mean(outcome.hit)) if known else None,
        "starts": len(outcome.best),
    }


def _rounded(value: Any) -> float:
    return round(float(value), 6)
