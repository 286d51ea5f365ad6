"""Structures of ASE as systems, and back."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from typing import SupportsFloat

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from jaxtyping import Array, Float

from hopgym._suggest import unknown_name
from hopgym.potentials import StillingerWeber
from hopgym.systems import HarmonicStart, System, get_system
from hopgym.systems.lennard_jones import LARGEST, typical_energy
from hopgym.systems.morse import SIZES
from hopgym.systems.silicon import CELL_EDGE, CELLS, DIAMOND

Box = Float[np.ndarray, "3"]
FAMILIES = ["lj", "morse3", "morse6", "morse10", "morse14", "gupta", "sw"]


def to_ase(
    system: System,
    positions: Float[Array | np.ndarray, "..."],
    energy: SupportsFloat | None = None,
    gradient: Float[Array | np.ndarray, "atoms 3"] | None = None,
) -> Atoms:
    """A structure as `ase.Atoms`, with cell and periodicity.

    Systems in reduced units have atoms `"X"`, and numbers are passed on in those units.
    Atoms that came from [`hopgym.chemistry.from_ase`][] keep their element.

    **Arguments:**

    - `system`: what the atoms are.
    - `positions`: `Float[Array, "atoms 3"]`.
    - `energy`, `gradient`: what an attached `SinglePointCalculator` answers, the
      gradient as forces.

    **Raises:** `ValueError` for positions of another shape or that are not finite.
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
    """A system of these atoms, in their order, and their positions.

    **Arguments:**

    - `atoms`: clusters without, silicon with periodic boundaries.
    - `potential`: `"lj"`; `"morse6"` with range parameter 3, 6, 10 or 14; `"gupta"`, or
      a parameter set such as `"gupta-table4"`; `"sw"`.
    - `d0`, `epsilon`: distance and depth of the minimum of the pair potential, for
      Lennard-Jones and Morse; by default positions are in reduced units.

    **Raises:** `ValueError` for an unknown potential, elements that it does not
    describe, fewer than two atoms, positions that are not finite, a cell that is not
    orthorhombic or has an edge below twice the cutoff, or periodic boundaries where
    there must be none, along some axes only, or missing.
    """
    positions = checked_positions(atoms)
    box = box_of(atoms)
    symbols = atoms.get_chemical_symbols()
    morse = re.fullmatch(r"morse(\d+)", potential)
    if potential == "lj" or morse is not None:
        _check_free(potential, box)
        name = f"Morse{morse[1]}" if morse is not None else "LJ"
        system = _pair_cluster(name, symbols, d0, epsilon)
    elif (d0, epsilon) != (1.0, 1.0):
        raise ValueError(f"{potential!r} has lengths and energies of its own")
    elif match := re.fullmatch(r"gupta(-\w+)?", potential):
        _check_free(potential, box)
        system = _gupta(symbols, match[1] or "")
    elif potential == "sw":
        system = _silicon(symbols, box)
    else:
        raise ValueError(unknown_name("potential", potential, FAMILIES))
    return system, jnp.asarray(positions, float)


def checked_positions(atoms: Atoms) -> Float[np.ndarray, "atoms 3"]:
    """Positions of at least two atoms.

    **Raises:** `ValueError` for fewer atoms or positions that are not finite.
    """
    positions = atoms.get_positions()
    if len(positions) < 2:
        raise ValueError(f"at least 2 atoms are needed, got {len(positions)}")
    if not np.all(np.isfinite(positions)):
        raise ValueError("positions must be finite")
    return positions


def box_of(atoms: Atoms) -> Box | None:
    """Edges of the periodic box, or `None` in free space.

    **Raises:** `ValueError` for a cell that is not orthorhombic, or periodic
    boundaries along some axes only.
    """
    if not np.any(atoms.pbc):
        return None
    if not np.all(atoms.pbc):
        raise ValueError(
            f"boundaries must be periodic along all axes or none, got {atoms.pbc}"
        )
    cell = np.asarray(atoms.cell, float)
    edges = np.diag(cell)
    # Cells from files have off-diagonal elements of the size of rounding.
    if np.any(np.abs(cell - np.diag(edges)) > 1e-8 * np.max(np.abs(cell))) or not (
        np.all(np.isfinite(edges)) and np.all(edges > 0)
    ):
        raise ValueError(
            "the cell must be orthorhombic, with its edges along x, y and z, got "
            f"{cell.tolist()}"
        )
    return edges


def _check_free(potential: str, box: Box | None) -> None:
    if box is not None:
        raise ValueError(
            f"{potential!r} has no cutoff and is for clusters in free space: use "
            "atoms.pbc = False"
        )


def _pair_cluster(
    family: str, symbols: list[str], d0: float | int, epsilon: float | int
) -> System:
    if not 0 < d0 < np.inf or not 0 < epsilon < np.inf:
        raise ValueError(f"d0 and epsilon must be positive, got {d0} and {epsilon}")
    kinds = sorted(set(symbols))
    if len(kinds) > 1:
        raise ValueError(
            f"{family} is for atoms of one element, got {', '.join(kinds)}"
        )
    base = _reduced(family, len(symbols))
    unit = jnp.asarray(epsilon, float)
    length = jnp.asarray(d0, float)
    surface = eqx.tree_at(lambda p: (p.d0, p.epsilon), base.potential, (length, unit))
    return dataclasses.replace(
        base,
        potential=surface,
        length=length,
        energy_unit=unit,
        energy_scale=base.energy_scale * unit,
        reference=base.reference * unit,
        tolerance=base.tolerance * unit,
        elements=(kinds[0],),
    )


def _reduced(family: str, atoms: int) -> System:
    """A Lennard-Jones or Morse cluster of any size in units of d0 and epsilon."""
    largest = LARGEST if family == "LJ" else SIZES[-1]
    known = get_system(f"{family}-{min(atoms, largest)}")
    if atoms <= largest:
        return known
    return System(
        name=f"{family}-{atoms}",
        potential=known.potential,
        species=[0] * atoms,
        start=HarmonicStart(edge=3.0),
        energy_scale=-typical_energy(atoms),
    )


def _gupta(symbols: list[str], suffix: str) -> System:
    counts = Counter(symbols)
    if len(counts) > 2 or "X" in counts:
        raise ValueError(
            f"Gupta potentials are for one or two metals, got {', '.join(counts)}"
        )
    formula = "".join(f"{element}{count}" for element, count in counts.items())
    system = get_system(f"Gupta-{formula}{suffix}")
    species = [system.elements.index(symbol) for symbol in symbols]
    return dataclasses.replace(system, species=species)


def _silicon(symbols: list[str], box: Box | None) -> System:
    if set(symbols) != {"Si"}:
        raise ValueError(f"'sw' is for Si only, got {', '.join(sorted(set(symbols)))}")
    if box is None:
        raise ValueError("'sw' is periodic: set a cell and atoms.pbc = True")
    atoms = len(symbols)
    if atoms in CELLS and np.allclose(box, CELLS[atoms] * CELL_EDGE):
        return get_system(f"SW-Si{atoms}")
    potential = StillingerWeber()
    if box.min() < 2 * float(potential.cutoff):
        raise ValueError(
            f"the cell's edges {box.tolist()} must be at least twice the cutoff "
            f"{float(potential.cutoff):.4g}: repeat the cell"
        )
    return System(
        name=f"SW-Si{atoms}",
        potential=potential,
        species=[0] * atoms,
        box=box,
        start=HarmonicStart(),
        length=float(potential.sigma) * 2 ** (1 / 6),
        energy_scale=-DIAMOND * atoms,
        tolerance=5e-3,
        elements=("Si",),
    )
