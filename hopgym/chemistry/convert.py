"""Conversion of systems and structures to and from ASE."""

from __future__ import annotations

import dataclasses
from typing import SupportsFloat

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.geometry import minkowski_reduce
from jaxtyping import Array, Float

from hopgym._converters import to_float
from hopgym.cell import Cell
from hopgym.potentials.pair import AbstractPairPotential
from hopgym.systems import System
from hopgym.systems.registry import find_family


def to_ase(
    system: System,
    positions: Float[Array | np.ndarray, "..."],
    energy: SupportsFloat | None = None,
    gradient: Float[Array | np.ndarray, "atoms 3"] | None = None,
) -> Atoms:
    """Convert a structure to `ase.Atoms`, with cell and periodicity.

    Systems in reduced units have atoms `"X"`, and all quantities stay in those units.
    Systems from [`hopgym.chemistry.from_ase`][] keep their elements.

    **Arguments:**

    - `system`: system of the structure.
    - `positions`: `Float[Array, "atoms 3"]`, in the system's length unit.
    - `energy`, `gradient`: attached as energy and forces by a `SinglePointCalculator`.

    **Raises:** `ValueError` for positions of a wrong shape or with non-finite values.
    """
    points = np.asarray(positions, float)
    if points.shape != (system.atoms, 3):
        raise ValueError(
            f"{system.name}: positions must have shape {(system.atoms, 3)}, got "
            f"{points.shape}"
        )
    if not np.all(np.isfinite(points)):
        raise ValueError(f"{system.name}: positions must be finite")
    atoms = Atoms(system.symbols, positions=points)
    if system.box is not None:
        atoms.set_cell(np.asarray(system.box, float))
        atoms.set_pbc(True)
    results = {}
    if energy is not None:
        results["energy"] = float(energy)
    if gradient is not None:
        results["forces"] = -np.asarray(gradient, float)
    if results:
        atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def from_ase(
    atoms: Atoms, potential: str, *, d0: float | int = 1.0, epsilon: float | int = 1.0
) -> tuple[System, Float[Array, "atoms 3"]]:
    """Convert `ase.Atoms` to a system and positions; the order of atoms is kept.

    **Arguments:**

    - `atoms`: a cluster without periodic boundaries, or periodic silicon; without
      constraints, which systems do not have.
    - `potential`: `"lj"`; `"morse6"`, with range parameter 3, 6, 10 or 14; `"gupta"`,
      or with a parameter set `"gupta-table4"`; `"sw"`.
    - `d0`, `epsilon`: distance and depth of the minimum of a Lennard-Jones or Morse
      potential; with the defaults, positions are in reduced units.

    **Returns:** the system and `Float[Array, "atoms 3"]`.

    **Raises:** `ValueError` for an unknown potential, elements that it does not
    describe, fewer than two atoms, non-finite positions, constraints, a cell that is
    not orthorhombic or has an edge below twice the cutoff, or boundaries that are
    periodic along some axes only or do not fit the potential.
    """
    if atoms.constraints:
        kinds = sorted({type(constraint).__name__ for constraint in atoms.constraints})
        raise ValueError(
            f"systems of hopgym have no constraints, but atoms have {', '.join(kinds)}:"
            " remove them by atoms.set_constraint(), or keep them and use "
            "hopgym.chemistry.ZooOptimizer"
        )
    positions = get_positions(atoms)
    box = get_box(atoms)
    family = find_family(potential)
    if box is not None and not family.is_periodic:
        raise ValueError(
            f"{potential!r} has no cutoff and is defined in free space only: set "
            "atoms.pbc = False"
        )
    if box is None and family.is_periodic:
        raise ValueError(f"{potential!r} is periodic: set a cell and atoms.pbc = True")
    system = family.build_from_symbols(potential, atoms.get_chemical_symbols(), box)
    if isinstance(system.potential, AbstractPairPotential):
        system = _scale(system, d0, epsilon)
    elif (d0, epsilon) != (1.0, 1.0):
        raise ValueError(
            f"{potential!r} has parameters of its own: leave out d0 and epsilon"
        )
    return system, to_float(positions)


def get_positions(atoms: Atoms) -> Float[np.ndarray, "atoms 3"]:
    """Get the positions of at least two atoms, and check that they are finite.

    **Raises:** `ValueError` for fewer than two atoms or non-finite positions.
    """
    positions = atoms.get_positions()
    if len(positions) < 2:
        raise ValueError(f"at least 2 atoms are needed, got {len(positions)}")
    if not np.all(np.isfinite(positions)):
        raise ValueError("positions must be finite")
    return positions


def get_box(atoms: Atoms) -> Float[np.ndarray, "3"] | None:
    """Get the edges of the periodic box; `None` in free space.

    **Raises:** `ValueError` for a cell that is not orthorhombic, or periodic
    boundaries along some axes only.
    """
    cell = get_cell(atoms)
    if not isinstance(cell, Cell):
        return cell
    if not np.all(atoms.pbc):
        raise ValueError(
            f"boundaries must be periodic along all axes or none, got {atoms.pbc}"
        )
    raise ValueError(
        "the cell must be orthorhombic, with its edges along x, y and z, got "
        f"{np.asarray(atoms.cell).tolist()}"
    )


def get_cell(atoms: Atoms) -> Float[np.ndarray, "3"] | Cell | None:
    """Get the periodic cell: edges if it is rectangular and periodic along all axes.

    Otherwise it is reduced to the shortest vectors, and vectors along which it is not
    periodic are replaced. `None` in free space.

    **Raises:** `ValueError` for vectors that are zero, parallel, in one plane or not
    finite, if the cell is periodic along them.
    """
    periodic = np.asarray(atoms.pbc, bool)
    if not np.any(periodic):
        return None
    vectors = np.asarray(atoms.cell, float)
    # The volume relative to a rectangular cell with the same edges.
    with np.errstate(divide="ignore", invalid="ignore"):
        units = vectors[periodic] / np.linalg.norm(vectors[periodic], axis=1)[:, None]
    if not (
        np.all(np.isfinite(units)) and np.linalg.svd(units, compute_uv=False)[-1] > 1e-6
    ):
        raise ValueError(
            f"boundaries are periodic along {periodic.tolist()}, but the cell "
            f"{vectors.tolist()} is not: set atoms.cell or atoms.pbc"
        )
    edges = np.diag(vectors)
    # Cells read from files have small off-diagonal elements due to rounding.
    rectangular = np.abs(vectors - np.diag(edges)) <= 1e-8 * np.max(np.abs(vectors))
    if np.all(periodic) and np.all(rectangular) and np.all(edges > 0):
        return edges
    perpendicular = np.linalg.svd(vectors[periodic])[2][np.sum(periodic) :]
    completed = vectors.copy()
    completed[~periodic] = perpendicular
    reduced, _ = minkowski_reduce(completed, periodic)  # pyright: ignore[reportArgumentType]
    along_a, along_b, along_c = periodic.tolist()
    with jax.enable_x64(True):
        return Cell(jnp.asarray(reduced), (along_a, along_b, along_c))


def _scale(system: System, d0: float | int, epsilon: float | int) -> System:
    """Scale a system with a pair potential from reduced units."""
    if not 0 < d0 < np.inf or not 0 < epsilon < np.inf:
        raise ValueError(f"d0 and epsilon must be positive, got {d0} and {epsilon}")
    unit, length = to_float(epsilon), to_float(d0)
    surface = eqx.tree_at(lambda p: (p.epsilon, p.d0), system.potential, (unit, length))
    return dataclasses.replace(
        system,
        potential=surface,
        length=length,
        energy_unit=unit,
        energy_scale=system.energy_scale * unit,
        reference=system.reference * unit,
        tolerance=system.tolerance * unit,
    )
