"""Walks on the energy of a calculator: each goes on as soon as it has its energy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed
from ase.calculators.singlepoint import SinglePointCalculator
from jaxtyping import Float, PyTree

from hopgym._schema import check, integer
from hopgym.chemistry.ase_context import AseContext
from hopgym.chemistry.contacts import are_in_contact
from hopgym.chemistry.evaluation import Evaluation
from hopgym.chemistry.walk import MAX_FAILURES, Walk
from hopgym.minima.pool import Tolerances
from hopgym.optimizers import LBFGS, GradientDescent
from hopgym.relax import Quenched
from hopgym.structure_search.evaluators import AbstractEvaluator, Failure, Request
from hopgym.structure_search.walks import AbstractWalks, Harvest, Refined, Stop, never

WAIT_SECONDS = 0.2  # for results, between questions whether to stop
# Structures with forces below this, in units of energy / length, are taken for minima:
# the tolerance of the quenches of searches, with a margin.
FORCE_OF_MINIMA = 0.06
REFINED_FORCE = 0.01  # of the minima that are reported
MAX_QUENCH_STEPS = 1000
# The energies and fingerprints of structures that are quenched to FORCE_OF_MINIMA.
LOOSE = Tolerances(energy=1e-2, fingerprint=0.05)
# A walk that has met no minimum in so many steps does not quench: its best structures
# are quenched for it.
STEPS_WITHOUT_MINIMA = 500


class CalculatorWalks(AbstractWalks):
    """Walks in double precision, whose structures are evaluated by calculators.

    Walks do not depend on each other, nor on the order of results. Minima are the
    converged structures that they meet, so they cost no further evaluations.

    **Arguments:**

    - `system`: the atoms, with their units.
    - `template`: the same as `ase.Atoms`, with cell and constraints.
    - `optimizer`: an optimizer for `system`.
    - `starts`: positions of the starts.
    - `seed`: random seed.
    - `evaluator`: evaluates structures.

    **Attributes:**

    - `starts`: as above.
    - `last_failure`: why an evaluation failed most recently, or empty.
    """

    tolerances = LOOSE
    dtype = np.float64
    is_costly = True

    def __init__(
        self,
        system: AseContext,
        template: Atoms,
        optimizer: Any,
        starts: Float[np.ndarray, "starts atoms 3"],
        seed: int,
        evaluator: AbstractEvaluator,
    ):
        self._system = system
        self._template = template
        self._evaluator = evaluator
        with jax.enable_x64(True):
            context = system.context
            key = jax.random.key(seed)
            self._walks = [
                Walk(optimizer, points, jax.random.fold_in(key, k), context)
                for k, points in enumerate(starts)
            ]
        self.starts = starts
        self.last_failure = ""
        self._failures_in_a_row = 0
        self._met: list[tuple[int, int, Evaluation]] = []  # step, start and structure
        self._has_met = np.zeros(len(self._walks), bool)

    @property
    def system(self) -> AseContext:
        return self._system

    @property
    def done(self) -> int:
        return min(walk.steps for walk in self._walks)

    @property
    def evaluations(self) -> int:
        return sum(walk.evaluations for walk in self._walks)

    @property
    def faults(self) -> int:
        return sum(walk.faults for walk in self._walks)

    @property
    def failures(self) -> int:
        return sum(walk.failures for walk in self._walks)

    def compile(self) -> None:
        """Nothing: the first step compiles."""

    def begin_chunk(self) -> None:
        self._met.clear()
        for walk in self._walks:
            walk.best = walk.current

    def advance(self, end: int, stop: Stop = never) -> None:
        def is_done(walk: Walk) -> bool:
            return walk.has_begun and walk.steps >= end

        self._run(self._walks, is_done, self._note, stop)

    def _run(
        self,
        walks: Sequence[Walk],
        is_done: Callable[[Walk], bool],
        watch: Callable[[int, Walk], None],
        stop: Stop = never,
    ) -> None:
        """Advance walks until they are done, or `stop` returns true.

        **Raises:** `CalculationFailed` if the calculator fails ten times in a row.
        """
        evaluator = self._evaluator

        def submit(number: int) -> None:
            walk = walks[number]
            before = np.asarray(walk.current.positions)
            evaluator.submit(Request(number, before, walk.propose()))

        try:
            for number, walk in enumerate(walks):
                if not is_done(walk):
                    submit(number)
            while evaluator.pending and not stop():
                for request, result in evaluator.collect(WAIT_SECONDS):
                    walk = walks[request.number]
                    self._take(walk, result)
                    watch(request.number, walk)
                    if not is_done(walk):
                        submit(request.number)
        finally:
            evaluator.cancel()

    def _take(self, walk: Walk, result: Evaluation | Failure) -> None:
        if isinstance(result, Evaluation):
            walk.accept(result)
            self._failures_in_a_row = 0
            return
        walk.fail(result.positions)
        self.last_failure = result.reason
        self._failures_in_a_row += not result.is_overlap
        if self._failures_in_a_row >= MAX_FAILURES:
            self._failures_in_a_row = 0
            raise CalculationFailed(
                f"the calculator failed {MAX_FAILURES} times in a row, the last time "
                f"by {result.reason}"
            )

    def _note(self, number: int, walk: Walk) -> None:
        """Keep the structure if it is a minimum, in place of one from which it came."""
        if not self._is_minimum(walk.current):
            return
        self._has_met[number] = True
        last = next((met for met in reversed(self._met) if met[1] == number), None)
        if last is not None and last[0] == walk.steps - 1:
            near = np.max(np.abs(last[2].positions - walk.current.positions))
            if near < 0.1 * float(self._system.length):
                self._met.remove(last)
        self._met.append((walk.steps, number, walk.current))

    def _is_minimum(
        self, structure: Evaluation, force: float = FORCE_OF_MINIMA
    ) -> bool:
        unit = float(self._system.energy_unit / self._system.length)
        return bool(
            np.isfinite(structure.energy) and structure.largest_force < force * unit
        )

    def collect(self) -> Harvest:
        met = sorted(self._met, key=lambda one: one[:2])
        starts = [start for _, start, _ in met]
        structures = [structure for _, _, structure in met]
        aimless = [
            number
            for number, walk in enumerate(self._walks)
            if not self._has_met[number] and walk.steps >= STEPS_WITHOUT_MINIMA
        ]
        best = [np.asarray(self._walks[number].best.positions) for number in aimless]
        quenches = self._quench(best, FORCE_OF_MINIMA)
        structures += [walk.current for walk in quenches]
        quenched = self._judge(structures, FORCE_OF_MINIMA)
        spent = sum(walk.evaluations for walk in quenches)
        return Harvest(quenched, starts + aimless, spent)

    def refine(self, positions: Float[np.ndarray, "structures atoms 3"]) -> Refined:
        quenches = self._quench(list(positions), REFINED_FORCE)
        structures = [walk.current for walk in quenches]
        return Refined(
            self._judge(structures, REFINED_FORCE),
            np.array([walk.current.gradient for walk in quenches]),
            sum(walk.evaluations for walk in quenches),
        )

    def evaluate(
        self, positions: Float[np.ndarray, "structures atoms 3"]
    ) -> Float[np.ndarray, " structures"]:
        """Energies of structures; infinite where the calculator failed."""
        with jax.enable_x64(True):
            still = GradientDescent(0.0)
            walks = [
                Walk(still, points, jax.random.key(0), self._system.context)
                for points in positions
            ]
        self._run(walks, lambda walk: walk.has_begun, lambda number, walk: None)
        return np.array([walk.current.energy for walk in walks], float)

    def _quench(
        self, positions: Sequence[Float[np.ndarray, "atoms 3"]], force: float
    ) -> list[Walk]:
        with jax.enable_x64(True):
            local = LBFGS(force=force)
            walks = [
                Walk(local, points, jax.random.key(0), self._system.context)
                for points in positions
            ]

        def is_done(walk: Walk) -> bool:
            converged = self._is_minimum(walk.current, force)
            return converged or walk.failures > 0 or walk.steps >= MAX_QUENCH_STEPS

        self._run(walks, is_done, lambda number, walk: None)
        return walks

    def _judge(self, structures: Sequence[Evaluation], force: float) -> Quenched:
        shape = (-1, self._system.atoms, 3)
        positions = np.array([s.positions for s in structures]).reshape(shape)
        connected = [are_in_contact(self._make_atoms(points)) for points in positions]
        converged = [self._is_minimum(s, force) for s in structures]
        with jax.enable_x64(True):
            quenched = Quenched(
                positions=jnp.asarray(positions),
                energy=jnp.asarray([s.energy for s in structures], float),
                force=jnp.asarray([s.largest_force for s in structures], float),
                converged=jnp.asarray(converged, bool),
                connected=jnp.asarray(connected, bool),
                evaluations=jnp.zeros(len(structures), jnp.int32),
            )
        return jax.tree.map(np.asarray, quenched)

    def _make_atoms(self, positions: Float[np.ndarray, "atoms 3"]) -> Atoms:
        atoms = self._template.copy()
        atoms.set_positions(positions, apply_constraint=False)
        return atoms

    def to_ase(
        self,
        positions: Float[np.ndarray, "atoms 3"],
        energy: float,
        gradient: Float[np.ndarray, "atoms 3"] | None,
    ) -> Atoms:
        atoms = self._make_atoms(positions)
        results: dict[str, Any] = {"energy": energy}
        if gradient is not None:
            results["forces"] = -gradient
        atoms.calc = SinglePointCalculator(atoms, **results)
        return atoms

    def sizes(self) -> dict[str, int]:
        return {"met": len(self._met), "starts": len(self._walks)}

    def arrays(self) -> PyTree:
        with jax.enable_x64(True):
            walks = [walk.arrays() for walk in self._walks]
            stacked = jax.tree.map(_stack, *walks)
        nothing = np.zeros((0, self._system.atoms, 3))
        met = [structure for _, _, structure in self._met]
        return {
            "walks": stacked,
            "counts": np.array([walk.counts() for walk in self._walks], np.int64),
            "has_met": self._has_met,
            "met": np.array([one[:2] for one in self._met], np.int64).reshape(-1, 2),
            "energies": np.array([s.energy for s in met], float),
            "positions": np.array([s.positions for s in met] or nothing, float),
            "gradients": np.array([s.gradient for s in met] or nothing, float),
        }

    def blank(self, sizes: dict[str, int]) -> PyTree:
        most = len(self._walks)
        check(sizes, {"met": integer(), "starts": integer(1, most)}, "walks")
        met, atoms = sizes["met"], self._system.atoms
        arrays = self.arrays()
        own = {name: arrays[name] for name in ("walks", "counts", "has_met")}
        return {
            **jax.tree.map(lambda leaf: leaf[: sizes["starts"]], own),
            "met": np.zeros((met, 2), np.int64),
            "energies": np.zeros(met),
            "positions": np.zeros((met, atoms, 3)),
            "gradients": np.zeros((met, atoms, 3)),
        }

    def restore(self, done: int, arrays: PyTree) -> None:
        with jax.enable_x64(True):
            stored = self._walks[: len(arrays["counts"])]
            for k, walk in enumerate(stored):
                state, *met = jax.tree.map(lambda leaf, k=k: leaf[k], arrays["walks"])
                own = jax.tree.map(jnp.asarray, state), *met
                steps, evaluations, faults, failures = arrays["counts"][k].tolist()
                walk.restore(own, (steps, evaluations, faults, failures))
        found = min(walk.steps for walk in stored)
        if found != done:
            raise ValueError(f"its walks have done {found} steps, not {done}")
        self._has_met[: len(stored)] = arrays["has_met"]
        self._met = [
            (int(step), int(start), Evaluation(points, np.asarray(energy), gradient))
            for (step, start), points, energy, gradient in zip(
                np.asarray(arrays["met"]),
                np.asarray(arrays["positions"]),
                np.asarray(arrays["energies"]),
                np.asarray(arrays["gradients"]),
                strict=True,
            )
        ]

    def close(self) -> None:
        self._evaluator.close()


def _stack(*leaves: Any) -> Any:
    """Stack the leaves of walks; only random keys stay arrays of JAX."""
    if jnp.issubdtype(leaves[0].dtype, jax.dtypes.prng_key):
        return jnp.stack(leaves)
    return np.stack(leaves)
