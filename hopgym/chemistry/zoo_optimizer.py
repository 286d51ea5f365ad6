"""Any optimizer of the zoo as an optimizer of ASE."""

# ASE has no types; those inferred from its base classes are narrower than is meant.
# pyright: reportIncompatibleMethodOverride=false

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path
from typing import IO, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.optimize.optimize import Optimizer

from hopgym import _serialisation
from hopgym.chemistry.ase_context import describe_atoms
from hopgym.chemistry.evaluation import Evaluation, evaluate
from hopgym.chemistry.precision import to_float64
from hopgym.optimizers import (
    AbstractLocalOptimizer,
    Fire,
    FireAse,
    GradientDescent,
    OptaxOptimizer,
    make_optimizer,
)

DESCENTS = (AbstractLocalOptimizer, Fire, FireAse, GradientDescent, OptaxOptimizer)


class ZooOptimizer(Optimizer):
    """Classical, hopping and learned optimizers on atoms with any calculator.

    ```python
    atoms.calc = ase.calculators.emt.EMT()
    search = hopgym.chemistry.ZooOptimizer(atoms, "bh-lbfgs", steps=2000)
    search.run()
    search.best_atoms, search.best_energy, search.evaluations
    ```

    A step is one evaluation of energy and forces, in which searches do all they do:
    quenches, hops and restarts. A descent ends when the largest force is below `fmax`,
    a search when its steps are used up. Afterwards the atoms are where the optimizer
    is; the lowest structure evaluated is in `best_atoms`.

    Learned optimizers expect attraction from afar: with calculators that end at a short
    cutoff (EMT) begin with a compact structure, or fragments may drift apart.

    If the calculator fails its error is passed on; the atoms are back at the last
    structure evaluated, nothing found is lost, and `run` can be called again.

    **Arguments:**

    - `atoms`: in free space or in an orthorhombic periodic cell; constraints hold.
    - `optimizer`: a name of the zoo, or an optimizer.
    - `restart`: file in which the state is kept after every step. If it is there, the
      optimizer goes on from it, with its structure, as if it had not been interrupted.
    - `logfile`, `trajectory`, and others by name: see ASE's optimizers.
    - `steps`: length of a search, also for schedules.
    - `seed`: of everything random.
    - `length`: unit of length; by default that of the system of a
      [`hopgym.chemistry.HopgymCalculator`][], else the mean distance of nearest
      neighbours in crystals of the elements (twice the covalent radius where that is
      not known), or 1 for atoms `"X"`.
    - `energy`: unit of energy, in which the energy per atom is about that of a
      Lennard-Jones cluster; by default likewise, else 0.5 eV, as fits metals, or 1.
    - `search`: whether to go on at a minimum; by default all but descents do.

    **Attributes:** `evaluations`, of energy and forces together; `best_atoms`,
    `best_energy`; `faults`, components of steps that were not finite and counted as
    zero.

    **Raises:** `KeyError` for an unknown name; `ValueError` for atoms, units, steps or
    a restart file that make no sense; `TypeError` if `atoms` is not `ase.Atoms`;
    `ase.calculators.calculator.CalculationFailed`, in a run, for energies or forces
    that are not finite.
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
        self.evaluations = 0
        self.faults = 0
        self._length = steps
        self._around = describe_atoms(atoms, length, energy)
        with jax.enable_x64(True):
            if isinstance(optimizer, str):
                optimizer = make_optimizer(optimizer, system=self._around, steps=steps)
            self._optimizer = to_float64(optimizer)
            self._opt_state = _begin(
                self._optimizer,
                jnp.asarray(atoms.get_positions()),
                jax.random.key(seed),
                self._around.context,
            )
        self._search = not isinstance(optimizer, DESCENTS) if search is None else search
        nothing = np.zeros((len(atoms), 3))
        self._present = self._best = Evaluation(nothing, np.asarray(np.inf), nothing)
        super().__init__(atoms, restart, logfile, trajectory, **options)

    @property
    def best_energy(self) -> float:
        """Lowest energy so far; infinite before the first evaluation."""
        return float(self._best.energy)

    @property
    def best_atoms(self) -> Atoms:
        """A copy of the atoms at the lowest energy so far, with energy and forces."""
        atoms = self.atoms.copy()
        atoms.set_positions(self._best.positions, apply_constraint=False)
        atoms.calc = SinglePointCalculator(
            atoms, energy=self.best_energy, forces=-np.asarray(self._best.gradient)
        )
        return atoms

    def run(self, fmax: float | int = 0.05, steps: int | None = None) -> bool:
        """Whether it converged, after at most `steps` steps.

        **Arguments:**

        - `fmax`: largest force on an atom at which a descent ends; a search does not
          converge.
        - `steps`: by default what is left of the length given at the beginning.
        """
        *_, converged = self.irun(fmax, steps)
        return converged

    def irun(
        self, fmax: float | int = 0.05, steps: int | None = None
    ) -> Generator[bool]:
        """Like `run`, one step at a time."""
        self.fmax = fmax
        left = max(self._length - self.nsteps, 0)
        self.max_steps = self.nsteps + (left if steps is None else steps)
        if self.evaluations == 0:
            self._take(evaluate(self.atoms))
            self._record()
        yield self.converged()
        while (
            self.nsteps < self.max_steps and not self.converged() and not self._at_rest
        ):
            self.step()
            yield self.converged()

    def step(self) -> None:
        """One displacement, and the evaluation of where it leads."""
        with jax.enable_x64(True):
            displacement, opt_state = _update(
                self._optimizer,
                self._present,
                self._opt_state,
                self._around.context,
            )
        displacement = np.asarray(displacement)
        if displacement.shape != self._present.positions.shape:
            raise ValueError(
                f"{type(self._optimizer).__name__}.update must return a displacement "
                f"of shape {self._present.positions.shape}, got {displacement.shape}"
            )
        finite = np.isfinite(displacement)
        before = self.atoms.get_positions()
        self.atoms.set_positions(before + np.where(finite, displacement, 0))
        try:
            evaluated = evaluate(self.atoms)
        except BaseException:
            self.atoms.set_positions(before, apply_constraint=False)
            raise
        self._opt_state = opt_state
        self.faults += int(np.sum(~finite))
        self.nsteps += 1
        self._take(evaluated)
        self._record()

    def converged(self, *_: Any, **__: Any) -> bool:
        """Whether a descent has arrived."""
        return not self._search and bool(self._present.largest_force < (self.fmax or 0))

    def log(self, *_: Any, **__: Any) -> None:
        """A line for the present structure, and the lowest energy so far."""
        name = type(self).__name__
        if self.nsteps == 0:
            head = f"{'':{len(name)}}  {'Step':>6} {'Time':>8} {'Energy':>15}"
            self._write(f"{head} {'fmax':>15} {'best':>15}\n")
        self._write(
            f"{name}: {self.nsteps:6d} {time.strftime('%H:%M:%S')} "
            f"{float(self._present.energy):15.6f} {self._present.largest_force:15.6f} "
            f"{self.best_energy:15.6f}\n"
        )

    def todict(self) -> dict[str, Any]:
        """What trajectories tell of the optimizer."""
        return {**super().todict(), "policy": type(self._optimizer).__name__}

    def read(self) -> None:
        """Go on from the restart file."""
        assert self.restart is not None
        header = _serialisation.read_header(self.restart)
        about = self._about()
        for what, value in about.items():
            if header.get(what) != value:
                raise ValueError(
                    f"{self.restart} is of another run: {what} is "
                    f"{header.get(what)!r}, not {value!r}"
                )
        with jax.enable_x64(True):
            like = (self._opt_state, self._present, self._best)
            self._opt_state, self._present, self._best = _serialisation.read(
                self.restart, like
            )
        self.nsteps, self.evaluations, self.faults = header["counts"]
        self.atoms.set_positions(self._present.positions, apply_constraint=False)

    def _about(self) -> dict[str, Any]:
        return {
            "symbols": self.atoms.get_chemical_symbols(),
            "optimizer": type(self._optimizer).__name__,
        }

    @property
    def _at_rest(self) -> bool:
        local = self._optimizer
        if self._search or not isinstance(local, AbstractLocalOptimizer):
            return False
        return bool(local.finished(self._opt_state))

    def _take(self, evaluated: Evaluation) -> None:
        # Calculators answer for a structure that has not moved without computing.
        moved = np.any(evaluated.positions != self._present.positions)
        self.evaluations += int(moved or self.evaluations == 0)
        self._present = evaluated
        if evaluated.energy < self._best.energy:
            self._best = evaluated

    def _record(self) -> None:
        if self.restart is not None and self.comm.rank == 0:
            counts = (self.nsteps, self.evaluations, self.faults)
            tree = (self._opt_state, self._present, self._best)
            with jax.enable_x64(True):
                _serialisation.write(
                    self.restart, {**self._about(), "counts": counts}, tree
                )
        self.log()
        self.call_observers()

    def _write(self, text: str) -> None:
        if self.logfile is not None:
            self.logfile.write(text)


@eqx.filter_jit
def _begin(optimizer, positions, key, context):
    return optimizer.init(positions, key=key, context=context)


@eqx.filter_jit
def _update(optimizer, present, opt_state, context):
    return optimizer.update(
        present.gradient,
        opt_state,
        present.positions,
        value=present.energy,
        context=context,
    )
