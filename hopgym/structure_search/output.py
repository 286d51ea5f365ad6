"""Result files of a search: structures, tables, pictures and a report."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from ase import Atoms
from jaxtyping import Float

from hopgym._atomic_write import atomic_write
from hopgym.chemistry.extxyz import write_images
from hopgym.minima.pool import Pool
from hopgym.minima.symmetry import find_symmetry
from hopgym.rendering import draw, save_png
from hopgym.structure_search.report import get_drawn_box, render_report
from hopgym.structure_search.search import Search

EXTRA_MINIMA = 5  # refined at a time, besides the number of those that are reported


@dataclass(frozen=True)
class RefinedMinimum:
    """A minimum that was refined in double precision, or as it was met.

    **Attributes:**

    - `energy`, `positions`: in the units of the system's potential.
    - `gradient`, `force`: also, and the largest norm of the force on an atom; `None` if
      it was not refined.
    - `starts`, `found`: as in `hopgym.minima.pool.Minimum`.
    - `symmetry`: symbol of its point group or space group, or empty.
    """

    energy: float
    force: float | None
    starts: list[int]
    found: int
    symmetry: str
    positions: Float[np.ndarray, "atoms 3"]
    gradient: Float[np.ndarray, "atoms 3"] | None


@dataclass(frozen=True)
class RefinedMinima:
    """The lowest minima of a search, refined.

    **Attributes:**

    - `minima`: in order of increasing energy.
    - `distinct`: number of minima of the search, without those that turned out to be no
      minima or equal to others: single precision takes flat regions for minima.
    - `evaluations`: spent on refining.
    """

    minima: list[RefinedMinimum]
    distinct: int
    evaluations: int


def refine_minima(search: Search, keep: int) -> RefinedMinima:
    """Quench the `keep` lowest minima of a search in double precision.

    Those that do not converge or fall to pieces are left out, and the next ones take
    their places.
    """
    found = search.pool.minima
    if not found:
        return RefinedMinima([], 0, 0)
    size = min(keep + EXTRA_MINIMA, len(found))  # the same in all rounds: compiled once
    done = spent = 0
    pool, gradients = Pool(search.system), {}
    while done < len(found) and len(pool.minima) < keep:
        done = min(done + size, len(found))
        candidates = found[done - size : done]
        refined = search.walks.refine(np.array([m.positions for m in candidates]))
        spent += refined.evaluations
        for k, minimum in enumerate(candidates):
            single = jax.tree.map(lambda leaf, k=k: leaf[k : k + 1], refined.structures)
            pool.add(single, [minimum.starts], minimum.found)
            gradients[single.positions.tobytes()] = refined.gradients[k]
    minima = []
    for m in pool.minima[:keep]:
        gradient = gradients[m.positions.tobytes()]
        minima.append(
            RefinedMinimum(
                energy=m.energy,
                force=float(np.linalg.norm(gradient, axis=1).max()),
                starts=sorted(m.starts),
                found=m.found,
                symmetry=find_symmetry(search.system, m.positions),
                positions=m.positions,
                gradient=gradient,
            )
        )
    distinct = len(found) - done + len(pool.minima)
    return RefinedMinima(minima, distinct, spent)


def list_minima(search: Search, keep: int) -> RefinedMinima:
    """The `keep` lowest minima as they were met, without further evaluations."""
    minima = [
        RefinedMinimum(
            energy=m.energy,
            force=None,
            starts=sorted(m.starts),
            found=m.found,
            symmetry=find_symmetry(search.system, m.positions),
            positions=m.positions,
            gradient=None,
        )
        for m in search.pool.minima[:keep]
    ]
    return RefinedMinima(minima, len(search.pool.minima), 0)


def make_images(search: Search, refined: RefinedMinima) -> list[Atoms]:
    """The minima as `ase.Atoms`, with energies and forces, and the others in `info`."""
    images = []
    for row, m in zip(_make_rows(refined), refined.minima, strict=True):
        atoms = search.walks.to_ase(m.positions, m.energy, m.gradient)
        del row["energy"]
        atoms.info.update(row)
        images.append(atoms)
    return images


def write_results(search: Search, refined: RefinedMinima) -> None:
    """Write all result files of a search.

    **Raises:** `OSError` if they cannot be written.
    """
    folder = search.folder.path
    minima = refined.minima
    rows = _make_rows(refined)
    meta = _describe_search(search, refined)
    table = {"meta": meta, "minima": rows, "curve": search.curve}
    atomic_write(folder / "minima.json", json.dumps(table, indent=1))
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    atomic_write(folder / "minima.csv", text.getvalue())
    write_images(
        folder / "minima.extxyz",
        [search.walks.to_ase(m.positions, m.energy, m.gradient) for m in minima],
        [{k: v for k, v in row.items() if k != "energy"} for row in rows],
    )
    box = get_drawn_box(search.system)
    picture_folder = folder / "pictures"
    picture_folder.mkdir(exist_ok=True)
    for old in picture_folder.glob("minimum-*.png"):
        old.unlink()
    pictures = []
    for row, minimum in zip(rows, minima, strict=True):
        picture = draw(
            minimum.positions,
            search.system.symbols,
            box,
            length=float(search.system.length),
        )
        path = picture_folder / f"minimum-{row['rank']:02}.png"
        save_png(path, picture)
        pictures.append(path)
    positions = [minimum.positions for minimum in minima]
    page = render_report(search, meta, rows, positions, pictures)
    atomic_write(folder / "report.html", page)


def _make_rows(refined: RefinedMinima) -> list[dict[str, Any]]:
    minima = refined.minima
    return [_format_row(rank, m, minima[0]) for rank, m in enumerate(minima, 1)]


def _format_row(
    rank: int, minimum: RefinedMinimum, lowest: RefinedMinimum
) -> dict[str, Any]:
    return {
        "rank": rank,
        "energy": minimum.energy,
        "above": minimum.energy - lowest.energy,
        "symmetry": minimum.symmetry,
        "hits": len(minimum.starts),
        "found": minimum.found,
        "force": minimum.force,
    }


def _describe_search(search: Search, refined: RefinedMinima) -> dict[str, Any]:
    system = search.system
    return {
        "system": system.name,
        "atoms": system.atoms,
        "unit": search.unit,
        "reference": search.reference,
        "reference_source": getattr(system, "reference_source", ""),
        "tolerance": float(getattr(system, "tolerance", 0.0)),
        "plan": dataclasses.asdict(search.plan),
        "steps_done": search.done,
        "distinct": refined.distinct,
        "search_evaluations": search.evaluations,
        "quench_evaluations": search.quench_evaluations,
        "refine_evaluations": refined.evaluations,
        "unconverged_quenches": search.unconverged,
        "fragmented_quenches": search.fragmented,
        "faults": search.faults,
        "failures": search.walks.failures,
        "unit_evaluations": search.setup.get("evaluations", 0),
        "units": {
            "length": float(system.length),
            "energy": float(system.energy_unit),
        },
        "seconds": round(search.seconds, 3),
        **search.about,
    }
