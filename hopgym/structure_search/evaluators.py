"""Evaluation of structures by calculators: one after the other, or by an executor."""

from __future__ import annotations

import abc
import concurrent.futures
import multiprocessing
import os
import signal
import threading
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed
from jaxtyping import Float

from hopgym._plugins import describe_foreign_error
from hopgym.calculators import CalculatorSource
from hopgym.chemistry.contacts import have_overlap
from hopgym.chemistry.evaluation import Evaluation, evaluate

# Variables that limit the threads of a worker, unless they are set.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
MAX_DEATHS = 10  # of workers in a row, before a search gives up


@dataclass(frozen=True)
class Request:
    """A structure to evaluate.

    **Attributes:**

    - `number`: tells it from other requests.
    - `before`: positions that satisfy the constraints.
    - `proposal`: positions to which the atoms move as far as constraints let them.
    """

    number: int
    before: Float[np.ndarray, "atoms 3"]
    proposal: Float[np.ndarray, "atoms 3"]


@dataclass(frozen=True)
class Failure:
    """An evaluation that failed.

    **Attributes:**

    - `positions`: at which it failed.
    - `reason`: why, in one line.
    - `is_overlap`: whether the calculator was not asked, since atoms overlap.
    """

    positions: Float[np.ndarray, "atoms 3"]
    reason: str
    is_overlap: bool = False


@dataclass(frozen=True)
class Task:
    """What a worker needs to know.

    **Attributes:**

    - `source`: makes the worker's calculator.
    - `template`: the atoms, with cell and constraints, without a calculator.
    - `name`: tells it from other tasks.
    """

    source: CalculatorSource
    template: Atoms
    name: str = field(default_factory=lambda: uuid.uuid4().hex)


_local = threading.local()  # an executor of threads has one calculator in each


def run_task(task: Task, request: Request) -> Evaluation | Failure:
    """Evaluate a structure in this thread, with the calculator that it has made.

    **Raises:** `CalculatorUnavailable` if no calculator can be made.
    """
    made: dict[str, Atoms] = _local.__dict__.setdefault("made", {})
    if task.name not in made:
        atoms = task.template.copy()
        atoms.calc = task.source.make()
        made[task.name] = atoms
    atoms, moved = made[task.name], request.before
    try:
        atoms.set_positions(request.before, apply_constraint=False)
        atoms.set_positions(request.proposal)
        moved = atoms.get_positions()
        if have_overlap(atoms):
            return Failure(moved, "atoms overlap", is_overlap=True)
        return evaluate(atoms)
    except (Exception, SystemExit) as error:
        # A calculator that has failed may be in any state.
        made.pop(task.name, None)
        return Failure(moved, describe_foreign_error(error))


Results = list[tuple[Request, Evaluation | Failure]]


class AbstractEvaluator(abc.ABC):
    """Evaluates structures; results come in any order."""

    @abc.abstractmethod
    def submit(self, request: Request) -> None:
        """Ask for an evaluation."""

    @abc.abstractmethod
    def collect(self, seconds: float | int) -> Results:
        """Results that have come, after at most so many seconds if there are none.

        **Raises:** `CalculatorUnavailable` if no calculator can be made;
        `ase.calculators.calculator.CalculationFailed` if workers keep dying.
        """

    @property
    @abc.abstractmethod
    def pending(self) -> int:
        """Number of requests without a result."""

    @abc.abstractmethod
    def cancel(self) -> None:
        """Forget all requests; those that have begun may go on in vain."""

    @abc.abstractmethod
    def close(self) -> None:
        """Release what the evaluator holds, without waiting for results."""


class SerialEvaluator(AbstractEvaluator):
    """Evaluates structures one after the other, in this process.

    **Arguments:**

    - `task`: what to evaluate with.
    """

    def __init__(self, task: Task):
        self._task = task
        self._requests: deque[Request] = deque()

    def submit(self, request: Request) -> None:
        self._requests.append(request)

    def collect(self, seconds: float | int) -> Results:
        if not self._requests:
            return []
        request = self._requests.popleft()
        return [(request, run_task(self._task, request))]

    @property
    def pending(self) -> int:
        return len(self._requests)

    def cancel(self) -> None:
        self._requests.clear()

    def close(self) -> None:
        self.cancel()
        _local.__dict__.get("made", {}).pop(self._task.name, None)


class ExecutorEvaluator(AbstractEvaluator):
    """Evaluates structures by an executor: processes, threads, Dask's or MPI's.

    If workers die, the executor is made anew, and requests that were lost are repeated
    one at a time. The one with which a worker dies again has failed.

    **Arguments:**

    - `task`: what to evaluate with; must be picklable for processes.
    - `make_executor`: makes the executor.
    - `remake`: whether another one can be made if its workers die.
    """

    def __init__(
        self, task: Task, make_executor: Callable[[], Executor], *, remake: bool = True
    ):
        self._task = task
        self._make_executor = make_executor
        self._remake = remake
        self._executor = make_executor()
        self._futures: dict[Future[Any], Request] = {}
        self._suspects: deque[Request] = deque()
        self._waiting: deque[Request] = deque()  # until no suspects are left
        self._deaths = 0

    def submit(self, request: Request) -> None:
        if self._suspects:
            self._waiting.append(request)
        else:
            self._start(request)

    def _start(self, request: Request) -> None:
        try:
            future = self._executor.submit(run_task, self._task, request)
        except BrokenExecutor:
            self._replace_executor()
            future = self._executor.submit(run_task, self._task, request)
        self._futures[future] = request

    def collect(self, seconds: float | int) -> Results:
        if not self._futures and self._suspects:
            self._start(self._suspects.popleft())
        elif not self._futures:
            while self._waiting:
                self._start(self._waiting.popleft())
        done, _ = concurrent.futures.wait(
            self._futures, seconds, concurrent.futures.FIRST_COMPLETED
        )
        results, lost = [], []
        for future in done:
            request = self._futures.pop(future)
            try:
                results.append((request, future.result()))
                self._deaths = 0
            except BrokenExecutor as error:
                lost.append((request, error))
        if lost:
            # Those that are still waiting are lost, too.
            lost += [(request, lost[0][1]) for request in self._futures.values()]
            self._futures.clear()
            results += self._handle_death(lost)
        return results

    def _handle_death(self, lost: list[tuple[Request, BrokenExecutor]]) -> Results:
        self._deaths += 1
        if not self._remake or self._deaths > MAX_DEATHS:
            raise CalculationFailed(f"workers died: {lost[0][1]}") from lost[0][1]
        self._replace_executor()
        if len(lost) == 1:
            request = lost[0][0]
            return [(request, Failure(request.before, "the worker died"))]
        self._suspects.extend(sorted((r for r, _ in lost), key=lambda r: r.number))
        return []

    def _replace_executor(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor = self._make_executor()

    @property
    def pending(self) -> int:
        return len(self._futures) + len(self._suspects) + len(self._waiting)

    def cancel(self) -> None:
        for future in self._futures:
            future.cancel()
        self._futures.clear()
        self._suspects.clear()
        self._waiting.clear()

    def close(self) -> None:
        self.cancel()
        if self._remake:  # it is ours
            processes = list(getattr(self._executor, "_processes", None) or {})
            self._executor.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                _terminate(process)


def make_process_pool(workers: int) -> ProcessPoolExecutor:
    """A pool of processes in which calculators use one thread each.

    **Arguments:**

    - `workers`: number of processes.
    """
    context = multiprocessing.get_context("spawn")  # JAX cannot be forked
    return ProcessPoolExecutor(workers, context, initializer=_prepare_worker)


def _prepare_worker() -> None:
    """Leave signals to the main process, and use one thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    for name in THREAD_VARIABLES:
        os.environ.setdefault(name, "1")


def _leave_with_parent() -> None:
    """End this process when its parent has gone, however that went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _terminate(process: int) -> None:
    """End a worker that may be in the middle of a long calculation."""
    try:
        os.kill(process, signal.SIGTERM)
    except (OSError, AttributeError):
        return
