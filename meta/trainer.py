"""The loop of meta-training: ask, unroll, tell, evaluate, checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from hopgym._cli.memory import check_memory, estimate_memory
from hopgym._cli.pace import Pace
from hopgym.meta import schedule
from hopgym.meta.batched_unroll import BatchedUnroll
from hopgym.meta.distributed import broadcast, is_leader
from hopgym.meta.known_rates import learn_rates, list_known
from hopgym.meta.parts import make_unrolls, select_trained
from hopgym.meta.plan import TrainingPlan
from hopgym.meta.replayed_unroll import ReplayedUnroll
from hopgym.meta.run_folder import RunFolder
from hopgym.meta.strategies import get_strategy
from hopgym.meta.strategies.base import repeat
from hopgym.meta.unroll import HIT_KINDS, Outcome, check_loss, find_hits, scaled_loss
from hopgym.optimizers import learned
from hopgym.optimizers.learned.search import take_constants
from hopgym.systems import System, get_system

# Seed of the held-out starts; no training or benchmark has it by default.
EVALUATION_SEED = 1_000_000
ASK_STREAM, START_STREAM, TELL_STREAM = 0, 1, 2  # of random numbers of an update


def _never() -> bool:
    return False


class Stopped(Exception):
    """The training was asked to stop; the current update is lost."""


class Trainer:
    """A training that can be advanced, saved to its folder and restored.

    **Arguments:**

    - `plan`: settings of the training.
    - `folder`: folder for its files; `None` writes none.
    - `provenance`: additional entries of the headers of files, such as the command.

    **Raises:** `KeyError` for unknown names; `ValueError` for a plan that its strategy
    cannot carry out, or whose runs do not fit into the memory.
    """

    def __init__(
        self, plan: TrainingPlan, folder: RunFolder | None, provenance: dict[str, Any]
    ):
        self.plan = plan
        self.folder = folder
        self.provenance = provenance
        self.systems: list[System] = [get_system(name) for _, name in plan.systems]
        held_out = [get_system(name) for name in plan.evaluation_systems]
        check_loss(plan.loss, *self.systems, *held_out)
        architecture = dict(plan.architecture)
        key = jax.random.key(plan.seed)
        initial = learned.make_untrained(architecture.pop("name"), key, **architecture)
        if plan.start_from is not None:
            given = learned.load(plan.start_from)
            chooses = plan.architecture["name"] == "bh-symmetric"
            initial = take_constants(initial, given) if chooses else given
        self.known: list[str] = []  # systems whose rates the search knows
        if plan.architecture.get("choice") in learned.KNOWING:
            initial = learn_rates(initial, self.systems, plan.epochs)
            self.known = list_known(plan)
        trained = select_trained(plan, initial)
        weights, self.frozen = eqx.partition(initial, trained)
        self.strategy = get_strategy(plan.strategy)(
            weights, plan.strategy_settings, len(self.systems)
        )
        runs = max(len(self.strategy.start_indices), plan.evaluation_starts)
        check_memory(
            _estimate_memory(runs, [*self.systems, *held_out], weights),
            "the runs of an update",
        )
        if self.strategy.truncation is not None and plan.loss in HIT_KINDS:
            raise ValueError(
                f"{plan.strategy} judges parts of runs, which have no first hits: "
                "choose another loss or strategy"
            )
        changes = {update for update, _ in (*plan.systems, *plan.unroll)}
        if self.strategy.truncation is not None and changes != {0}:
            raise ValueError(
                f"{plan.strategy} continues runs across updates: systems and unroll "
                "cannot change"
            )

        self.unrolls = make_unrolls(plan, initial, self.systems, self.known)
        self.held_out = (
            make_unrolls(plan, initial, held_out, self.known) or self.unrolls
        )
        self.judged = held_out or self.systems
        self.update = 0
        self.state = self.strategy.init(jax.random.fold_in(key, 0))
        self.runs: dict[int, Any] | None = None  # by unroll
        self.evaluated = -1  # last update that was followed by an evaluation
        self.best = math.inf
        self.elapsed = 0.0
        self._pace = Pace()

    # Checkpoints

    def save(self) -> None:
        """Write the checkpoint and the current weights."""
        runs = None if self.runs is None else self._fetch(self.runs)
        if self.folder is None or not is_leader():
            return
        header = {
            "plan": self.plan.to_json(),
            "update": self.update,
            "evaluated": self.evaluated,
            "best": None if math.isinf(self.best) else self.best,
            "elapsed": round(self.elapsed, 3),
            "runs": runs is not None,
            **self.provenance,
        }
        self.folder.write_checkpoint(header, (self.state, runs))
        self._save_weights("weights.eqx")

    def restore(self) -> None:
        """Restore the training from the checkpoint in the folder.

        **Raises:** `ValueError` if it is damaged or does not fit the plan.
        """
        assert self.folder is not None
        header = self.folder.read_header()
        self.update = header["update"]
        self.evaluated = header["evaluated"]
        self.best = math.inf if header["best"] is None else header["best"]
        self.elapsed = header["elapsed"]
        runs = None
        if header["runs"]:
            # New runs, as a template for those in the file.
            key = jax.random.key(0)
            candidates, _ = self.strategy.ask(key, self.state)
            runs = self._fetch(self._init_runs(candidates, key))
        self.state, runs = self.folder.restore((self.state, runs))
        if runs is not None:
            self.runs = {u: self._get_unroll(u).restore(run) for u, run in runs.items()}
        if is_leader():
            self.folder.discard_after(self.update, self.evaluated)

    @property
    def optimizer(self) -> Any:
        """The optimizer with the current weights."""
        return eqx.combine(self.strategy.get_weights(self.state), self.frozen)

    def _save_weights(self, name: str) -> None:
        assert self.folder is not None
        plan = self.plan
        learned.save(
            self.folder.path / name,
            self.optimizer,
            plan.architecture,
            {
                "systems": [name for _, name in plan.systems],
                **({"known_systems": self.known} if self.known else {}),
                "strategy": plan.strategy,
                "updates": self.update,
                "seed": plan.seed,
                "plan": plan.to_json(),
                **self.provenance,
            },
        )

    # One update

    def step(self, stop: Callable[[], bool] = _never) -> dict[str, Any]:
        """Do one update.

        **Arguments:**

        - `stop`: returns whether to stop. Runs that span several updates are not
          interrupted, since they could not be repeated.

        **Returns:** the entry of the metrics.

        **Raises:** `Stopped` if `stop` returns true; the state is then unchanged.
        """
        plan = self.plan
        timer = time.perf_counter()
        truncation = self.strategy.truncation
        if truncation is not None:
            stop = _never
        key = jax.random.fold_in(jax.random.key(plan.seed), self.update + 1)
        streams = ASK_STREAM, START_STREAM, TELL_STREAM
        keys = [jax.random.fold_in(key, stream) for stream in streams]
        candidates, state = self.strategy.ask(keys[0], self.state)
        unroll = schedule.get_value(plan.unroll, self.update)
        if truncation is None:
            steps, fresh = unroll, True
        else:
            steps = min(truncation, unroll)
            segments = -(-unroll // steps)  # the strategy counts them in this way
            fresh = self.update % segments == 0 or self.runs is None
        runs = self._init_runs(candidates, keys[1]) if fresh else self._reset_totals()
        rows = self._get_rows()
        losses = np.zeros(len(self.strategy.start_indices))
        for u, run in runs.items():
            own, batched = rows[u], self._get_unroll(u)
            weights = _take_rows(candidates, own)
            runs[u] = self._advance(batched, weights, run, steps, stop)
            losses[own] = batched.losses(runs[u], len(own), steps, plan.loss)
        self.state = self.strategy.tell(keys[2], state, candidates, losses)
        self.runs = None if truncation is None else runs
        self.update += 1
        seconds = time.perf_counter() - timer
        entry: dict[str, Any] = {
            "update": self.update,
            "loss": _round(losses.mean()),
            "loss_min": _round(losses.min()),
            "unroll": unroll,
            "seconds": round(seconds, 3),
            "steps_per_second": round(len(losses) * steps / seconds),
        }
        self.elapsed += seconds
        return entry

    @property
    def is_evaluation_due(self) -> bool:
        """Whether an evaluation is due: before the first update, and at intervals."""
        every = self.plan.evaluate_every
        return self.update % every == 0 and self.evaluated < self.update

    def evaluate(self, stop: Callable[[], bool] = _never) -> dict[str, Any]:
        """Evaluate the current weights on held-out starts, and save the best ones.

        Arguments and errors are those of `step`.

        The best ones have the lowest mean loss: that of first hits if it is trained,
        else that of the lowest structures.

        **Returns:** losses, energies and hits by system.
        """
        timer = time.perf_counter()
        plan = self.plan
        found: dict[str, Any] = {}
        starts, steps = plan.evaluation_starts, plan.evaluation_steps
        for own, batched in self.held_out:
            count = len(own) * starts
            instances = np.tile(np.arange(starts), len(own))
            which = np.repeat(np.arange(len(own)), starts)
            weights = repeat(self.strategy.get_weights(self.state), count)
            key = jax.random.key(EVALUATION_SEED)
            runs = batched.begin(key, weights, instances, which)
            runs = self._advance(batched, weights, runs, steps, stop)
            outcomes = batched.judge(runs, count)
            losses = None
            if plan.loss in HIT_KINDS:
                losses = batched.losses(runs, count, steps, plan.loss)
            for n, k in enumerate(own):
                rows = np.flatnonzero(which == n)
                outcome = jax.tree.map(lambda x, rows=rows: x[rows], outcomes)
                system = self.judged[k]
                cell = found[system.name] = _summarise(outcome, system, plan.bounded)
                if losses is not None:
                    cell["first_hit_loss"] = _round(losses[rows].mean())
                    # Runs end there, before their structures have the lowest energy.
                    is_hit = find_hits(losses[rows], plan.loss)
                    cell["hits"] = int(np.sum(is_hit))
                    cell["hit_rate"] = _round(np.mean(is_hit))
        judged = "first_hit_loss" if plan.loss in HIT_KINDS else "best_loss"
        score = float(np.mean([cell[judged] for cell in found.values()]))
        if score < self.best:
            self.best = score
            if self.folder is not None and is_leader():
                self._save_weights("best.eqx")
        self.evaluated = self.update
        self.elapsed += time.perf_counter() - timer
        return found

    def _get_unroll(self, u: int) -> Any:
        return self.unrolls[u][1]

    def _fetch(self, runs: dict[int, Any]) -> dict[int, Any]:
        rows = self._get_rows()
        return {u: self._get_unroll(u).fetch(r, len(rows[u])) for u, r in runs.items()}

    def _get_systems(self) -> np.ndarray:
        """Index of the system of each run of this update."""
        active = np.array(schedule.get_active(self.plan.systems, self.update))
        strategy = self.strategy
        return active[strategy.start_indices * len(active) // strategy.instances]

    def _get_rows(self) -> dict[int, np.ndarray]:
        """Indices of the runs of each unroll that takes part in this update."""
        systems = self._get_systems()
        rows = {
            u: np.flatnonzero(np.isin(systems, own))
            for u, (own, _) in enumerate(self.unrolls)
        }
        return {u: own for u, own in rows.items() if len(own)}

    def _init_runs(self, candidates: PyTree, key: Any) -> dict[int, Any]:
        systems, begun = self._get_systems(), {}
        for u, rows in self._get_rows().items():
            own, batched = self.unrolls[u]
            weights = _take_rows(candidates, rows)
            which = np.searchsorted(own, systems[rows])
            instances = self.strategy.start_indices[rows]
            begun[u] = batched.begin(key, weights, instances, which)
        return begun

    def _reset_totals(self) -> dict[int, Any]:
        """The runs of the last update, with their sums of losses reset to zero."""
        assert self.runs is not None
        return {
            k: eqx.tree_at(lambda run: run.total, run, 0 * run.total)
            for k, run in self.runs.items()
        }

    def _advance(
        self,
        batched: BatchedUnroll | ReplayedUnroll,
        weights: PyTree,
        runs: Any,
        steps: int,
        stop: Callable[[], bool],
    ) -> Any:
        done = 0
        while done < steps:
            stopping, chunk = broadcast(int(stop()), self._pace.steps)
            if stopping:
                raise Stopped
            chunk = min(chunk, steps - done)
            timer = time.perf_counter()
            runs = batched.advance(weights, runs, chunk)
            self._pace.record(chunk, time.perf_counter() - timer)
            done += chunk
        return runs


def _estimate_memory(runs: int, systems: Sequence[System], weights: PyTree) -> float:
    """Estimate the bytes that the runs of an update and their weights need."""
    size = sum(x.nbytes for x in jax.tree.leaves(weights))
    return estimate_memory(runs, max(s.atoms for s in systems)) + 3.0 * runs * size


def _take_rows(candidates: PyTree, rows: np.ndarray) -> PyTree:
    return jax.tree.map(lambda x: x[rows], candidates)


def _summarise(outcome: Outcome, system: System, bounded: bool) -> dict[str, Any]:
    known = system.has_reference
    losses = {
        name: np.asarray(scaled_loss(jnp.asarray(energy), system, bounded=bounded))
        for name, energy in (("best", outcome.best), ("last", outcome.last))
    }
    return {
        "final_loss": _round(losses["last"].mean()),
        "best_loss": _round(losses["best"].mean()),
        "final_mean": _round(np.mean(outcome.last)),
        "mean": _round(np.mean(outcome.best)),
        "min": _round(np.min(outcome.best)),
        "hits": int(np.sum(outcome.hit)) if known else None,
        "hit_rate": _round(np.mean(outcome.hit)) if known else None,
        "starts": len(outcome.best),
    }


def _round(value: Any) -> float:
    return round(float(value), 6)
