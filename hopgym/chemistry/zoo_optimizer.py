"""The optimizers of the zoo as optimizers of ASE."""

# ASE has no type annotations; the inferred ones of its base classes are too narrow.
# pyright: reportIncompatibleMethodOverride=false

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path
from typing import IO, Any

import jax
import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed
from ase.calculators.singlepoint import SinglePointCalculator
from ase.optimize.optimize import Optimizer
from jaxtyping import Array, Float

from hopgym import _serialisation
from hopgym._schema import Schema, integer, list_of
from hopgym.chemistry.ase_context import describe_atoms
from hopgym.chemistry.constraints import check_for_hops
from hopgym.chemistry.evaluation import Evaluation, evaluate
from hopgym.chemistry.walk import MAX_FAILURES, Walk
from hopgym.optimizers import (
    AbstractLocalOptimizer,
    Fire,
    FireAse,
    GradientDescent,
    OptaxOptimizer,
    make_optimizer,
)
from hopgym.optimizers.base import adapt

# A restart file is of another calculator if energies per atom differ by more than this,
# in units of energy: more than the noise of self-consistent fields or float32.
ENERGY_TOLERANCE = 1e-4

# Files of earlier versions do not count failures.
RESTART_SCHEMA: Schema = {"counts": list_of(integer(), range(3, 5))}
LOCAL_OPTIMIZERS = (
    AbstractLocalOptimizer,
    Fire,
    FireAse,
    GradientDescent,
    OptaxOptimizer,
)


class ZooOptimizer(Optimizer):
    """Local, global and learned optimizers for atoms with any ASE calculator.

    ```python
    atoms.calc = ase.calculators.emt.EMT()
    search = hopgym.chemistry.ZooOptimizer(atoms, "bh-lbfgs", steps=2000)
    search.run()
    search.best_atoms, search.best_energy, search.evaluations
    ```

    Each step costs one evaluation of energy and forces; quenches, hops and restarts of
    a search span many steps. A local optimizer stops when the largest force is below
    `fmax`, a search when its steps are used up. Then the atoms are at the last
    structure; the structure of lowest energy is `best_atoms`.

    Learned optimizers expect long-range attraction: with calculators that have a short
    cutoff (EMT), start from a compact structure, or fragments may drift apart.

    If the calculator fails, the atoms return to the last evaluated structure. A search
    then goes on: basin hopping makes another hop. After ten failures in a row, or in a
    descent, the error is raised. No result is lost, and `run` can be called again.

    Constraints hold as in other optimizers of ASE. Moves do not choose fixed atoms, and
    exchange only atoms without constraints.

    **Arguments:**

    - `atoms`: in free space or in a cell of any shape, periodic along any of its
      vectors; may have constraints. Those that couple atoms, such as bond lengths, are
      for local optimizers only.
    - `optimizer`: the name of an optimizer of the zoo, a file of trained weights
      (`.eqx`), or an optimizer.
    - `restart`: file to which the state is saved after every step. If it exists, the
      run is resumed from it, including its structure, which is evaluated again (not
      counted) to check that the calculator is the same.
    - `logfile`, `trajectory`, `options`: see ASE's optimizers.
    - `steps`: number of steps of a search; schedules depend on it.
    - `seed`: random seed.
    - `length`: unit of length. Default: that of the system of a
      [`hopgym.chemistry.HopgymCalculator`][]; 1 for atoms `"X"`; otherwise the mean
      nearest-neighbour distance in crystals of the elements (twice the covalent radius
      for elements without a known one).
    - `energy`: unit of energy in which the energy per atom is similar to that of a
      Lennard-Jones cluster. Default: that of the calculator's system; 1 for atoms
      `"X"`; otherwise 0.5 eV, which suits metals.
    - `search`: whether to continue at a minimum; false by default for local optimizers.

    **Attributes:**

    - `evaluations`: number of evaluations of energy and forces.
    - `best_atoms`, `best_energy`: the structure of lowest energy so far.
    - `failures`: number of failed evaluations in a search.
    - `faults`: non-finite components of steps, which were replaced by zero.

    **Raises:** `KeyError` for an unknown name; `OSError` for weights that cannot be
    read; `ValueError` for invalid atoms, units or
    steps, constraints that a search cannot satisfy, or a restart file that is damaged
    or of another run or calculator; `TypeError` if `atoms` is not `ase.Atoms`;
    `ase.calculators.calculator.CalculationFailed`, during a run, for energies or forces
    that are not finite, or if ASE cannot satisfy the constraints.
    """

    def __init__(
        self,
        atoms: Atoms,
        optimizer: Any = "lbfgs",
        restart: str | Path | None = None,
        logfile: IO | str | Path | None = "-",
        trajectory: str | Path | None = None,
        *,
        steps: int = 10_000,
        seed: int = 0,
        length: float | int | None = None,
        energy: float | int | None = None,
        search: bool | None = None,
        **options: Any,
    ):
        if steps < 1:
            raise ValueError(f"a search needs at least one step, got {steps}")
        self._is_unverified = False
        self._total_steps = steps
        self._ase_context = describe_atoms(atoms, length, energy)
        with jax.enable_x64(True):
            if isinstance(optimizer, str):
                optimizer = make_optimizer(
                    optimizer, system=self._ase_context, steps=steps
                )
            optimizer = adapt(optimizer, self._ase_context)
            if not isinstance(optimizer, LOCAL_OPTIMIZERS):
                check_for_hops(atoms, type(optimizer).__name__)
            self._walk = Walk(
                optimizer,
                atoms.get_positions(),
                jax.random.key(seed),
                self._ase_context.context,
            )
        self._search = (
            not isinstance(optimizer, LOCAL_OPTIMIZERS) if search is None else search
        )
        super().__init__(atoms, restart, logfile, trajectory, **options)

    @property
    def evaluations(self) -> int:
        """Number of evaluations of energy and forces."""
        return self._walk.evaluations

    @property
    def failures(self) -> int:
        """Number of failed evaluations in a search."""
        return self._walk.failures

    @property
    def faults(self) -> int:
        """Non-finite components of steps, which were replaced by zero."""
        return self._walk.faults

    @property
    def best_energy(self) -> float:
        """Lowest energy so far; infinite before the first evaluation."""
        return float(self._walk.best.energy)

    @property
    def best_atoms(self) -> Atoms:
        """A copy of the atoms at the lowest energy so far, with energy and forces."""
        atoms = self.atoms.copy()
        best = self._walk.best
        atoms.set_positions(best.positions, apply_constraint=False)
        atoms.calc = SinglePointCalculator(
            atoms, energy=self.best_energy, forces=-np.asarray(best.gradient)
        )
        return atoms

    def run(self, fmax: float | int = 0.05, steps: int | None = None) -> bool:
        """Do at most `steps` steps, and return whether the optimizer converged.

        **Arguments:**

        - `fmax`: a local optimizer has converged when the largest force on an atom is
          below this; a search never converges.
        - `steps`: by default the remaining ones of the constructor's `steps`.
        """
        *_, converged = self.irun(fmax, steps)
        return converged

    def irun(
        self, fmax: float | int = 0.05, steps: int | None = None
    ) -> Generator[bool]:
        """Like `run`, as a generator that yields after every step."""
        self.fmax = fmax
        left = max(self._total_steps - self.nsteps, 0)
        self.max_steps = self.nsteps + (left if steps is None else steps)
        if not self._walk.has_begun:
            self._walk.accept(evaluate(self.atoms))
            self._record()
        elif self._is_unverified:
            self._verify_calculator()
        yield self.converged()
        while (
            self.nsteps < self.max_steps
            and not self.converged()
            and not self._is_finished
        ):
            self.step()
            yield self.converged()

    def step(self) -> None:
        """Displace the atoms and evaluate the new structure."""
        proposal = self._walk.propose()
        before = self.atoms.get_positions()
        try:
            self._move_atoms(proposal)
            evaluated = evaluate(self.atoms)
        except BaseException as error:
            failed = self.atoms.get_positions()
            self.atoms.set_positions(before, apply_constraint=False)
            if not (self._search and isinstance(error, Exception)):
                raise
            self._walk.fail(failed)
            self._record_failure(error)
        else:
            self._walk.accept(evaluated)
            self.nsteps = self._walk.steps
            self._record()

    def _record_failure(self, error: Exception) -> None:
        self.nsteps = self._walk.steps
        self._save()
        name = type(self).__name__
        self._write(f"{name}: {self.nsteps:6d} evaluation failed: {error}\n")
        if self._walk.failures_in_a_row >= MAX_FAILURES:
            self._walk.failures_in_a_row = 0
            raise error

    def _move_atoms(self, positions: Float[Array | np.ndarray, "atoms 3"]) -> None:
        """Move the atoms as far as their constraints let them."""
        try:
            self.atoms.set_positions(positions)
        except Exception as error:
            kinds = {type(constraint).__name__ for constraint in self.atoms.constraints}
            raise CalculationFailed(
                f"a step breaks the constraints {', '.join(sorted(kinds))} ({error}): "
                "start from a structure that satisfies them, or take smaller steps"
            ) from error

    def converged(self, *_: Any, **__: Any) -> bool:
        """Whether a local optimizer has converged; always false for a search."""
        return not self._search and bool(
            self._walk.current.largest_force < (self.fmax or 0)
        )

    def log(self, *_: Any, **__: Any) -> None:
        """Log a line about the current structure and the lowest energy so far."""
        name = type(self).__name__
        if self.nsteps == 0:
            head = f"{'':{len(name)}}  {'Step':>6} {'Time':>8} {'Energy':>15}"
            self._write(f"{head} {'fmax':>15} {'best':>15}\n")
        self._write(
            f"{name}: {self.nsteps:6d} {time.strftime('%H:%M:%S')} "
            f"{float(self._walk.current.energy):15.6f} "
            f"{self._walk.current.largest_force:15.6f} "
            f"{self.best_energy:15.6f}\n"
        )

    def todict(self) -> dict[str, Any]:
        """Description of the optimizer that is stored in trajectories."""
        return {**super().todict(), "policy": type(self._walk.optimizer).__name__}

    def read(self) -> None:
        """Restore the state from the restart file.

        **Raises:** `ValueError` if it is damaged, or of another run or calculator.
        """
        assert self.restart is not None
        header = _serialisation.read_header(self.restart, RESTART_SCHEMA)
        for what, value in self._describe_run().items():
            if header.get(what) != value:
                raise ValueError(
                    f"{self.restart} is of another run: {what} is "
                    f"{header.get(what)!r}, not {value!r}"
                )
        with jax.enable_x64(True):
            arrays = _serialisation.read(self.restart, self._walk.arrays())
        steps, evaluations, faults, failures, *_ = (*header["counts"], 0)
        self._walk.restore(arrays, (steps, evaluations, faults, failures))
        self.nsteps = steps
        self.atoms.set_positions(self._settled.positions, apply_constraint=False)
        self._is_unverified = True
        if self.atoms.calc is not None:
            self._verify_calculator()

    @property
    def _settled(self) -> Evaluation:
        """The current structure, or the best one if its evaluation failed."""
        walk = self._walk
        return walk.current if np.isfinite(walk.current.energy) else walk.best

    def _verify_calculator(self) -> None:
        """Evaluate the restored structure again, and compare the energies."""
        found = float(evaluate(self.atoms).energy)
        stored = float(self._settled.energy)
        unit = float(self._ase_context.energy_unit)
        if abs(found - stored) > ENERGY_TOLERANCE * unit * len(self.atoms):
            raise ValueError(
                f"{self.restart} is of another calculator: the energy of its structure "
                f"is {stored:.6f}, not {found:.6f}"
            )
        self._is_unverified = False

    def _describe_run(self) -> dict[str, Any]:
        return {
            "symbols": self.atoms.get_chemical_symbols(),
            "optimizer": type(self._walk.optimizer).__name__,
        }

    @property
    def _is_finished(self) -> bool:
        local = self._walk.optimizer
        if self._search or not isinstance(local, AbstractLocalOptimizer):
            return False
        return bool(local.finished(self._walk.opt_state))

    def _record(self) -> None:
        self._save()
        self.log()
        self.call_observers()

    def _save(self) -> None:
        if self.restart is not None and self.comm.rank == 0:
            header = {**self._describe_run(), "counts": self._walk.counts()}
            with jax.enable_x64(True):
                _serialisation.write(self.restart, header, self._walk.arrays())

    def _write(self, text: str) -> None:
        if self.logfile is not None:
            self.logfile.write(text)
