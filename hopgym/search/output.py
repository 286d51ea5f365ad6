"""What a search leaves in its folder: structures, tables, pictures and a report."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from hopgym._atomic_write import atomic_write
from hopgym.chemistry import write_extxyz
from hopgym.relax import quench
from hopgym.rendering import draw, save_png
from hopgym.search import report
from hopgym.search.minima import Pool
from hopgym.search.search import Search
from hopgym.search.symmetry import symmetry
from hopgym.systems import get_system

MARGIN = 5  # minima more than asked for that are refined: some may turn out the same


@dataclass(frozen=True)
class Entry:
    """One of the lowest minima, in double precision."""

    energy: float
    force: float
    starts: list[int]
    found: int
    symmetry: str
    positions: Float[np.ndarray, "atoms 3"]
    gradient: Float[np.ndarray, "atoms 3"]


@dataclass(frozen=True)
class Found:
    """The lowest minima, and the evaluations that refining them took."""

    entries: list[Entry]
    evaluations: int


def refined(search: Search, keep: int) -> Found:
    """The `keep` lowest minima of a search, quenched in double precision."""
    candidates = search.pool.minima[: keep + MARGIN]
    if not candidates:
        return Found([], 0)
    with jax.enable_x64(True):
        system = get_system(search.plan.system)
        start = jnp.asarray([m.positions for m in candidates], float)
        quenched = quench(system, start)
        pool = Pool(system)
        for k, minimum in enumerate(candidates):
            alone = jax.tree.map(lambda leaf, k=k: leaf[k : k + 1], quenched)
            pool.add(alone, [minimum.starts], minimum.found)
        lowest = pool.minima[:keep]
        positions = jnp.asarray([m.positions for m in lowest])
        _, gradients = jax.jit(jax.vmap(system.energy_and_gradient))(positions)
    entries = [
        Entry(
            energy=m.energy,
            force=float(np.linalg.norm(gradient, axis=1).max()),
            starts=sorted(m.starts),
            found=m.found,
            symmetry=symmetry(system, m.positions),
            positions=m.positions,
            gradient=gradient,
        )
        for m, gradient in zip(lowest, np.asarray(gradients), strict=True)
    ]
    spent = int(np.sum(np.asarray(quenched.evaluations), dtype=np.int64)) + len(lowest)
    return Found(entries, spent)


def write(search: Search, found: Found) -> None:
    """Write all files but the checkpoint.

    **Raises:** `OSError` if they cannot be written.
    """
    folder = search.folder.path
    rows = [_row(rank, entry, found) for rank, entry in enumerate(found.entries, 1)]
    meta = _meta(search, found)
    table = {"meta": meta, "minima": rows, "curve": search.curve}
    atomic_write(folder / "minima.json", json.dumps(table, indent=1))
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    atomic_write(folder / "minima.csv", text.getvalue())
    write_extxyz(
        folder / "minima.extxyz",
        search.system,
        np.array([e.positions for e in found.entries]).reshape(
            -1, search.system.atoms, 3
        ),
        np.array([e.energy for e in found.entries]),
        np.array([e.gradient for e in found.entries]),
        [{k: v for k, v in row.items() if k != "energy"} for row in rows],
    )
    box = search.system.box
    pictures = folder / "pictures"
    pictures.mkdir(exist_ok=True)
    for old in pictures.glob("minimum-*.png"):
        old.unlink()
    drawn = []
    for row, entry in zip(rows, found.entries, strict=True):
        picture = draw(
            entry.positions,
            search.system.symbols,
            None if box is None else np.asarray(box),
            length=float(search.system.length),
        )
        path = pictures / f"minimum-{row['rank']:02}.png"
        save_png(path, picture)
        drawn.append(path)
    positions = [entry.positions for entry in found.entries]
    page = report.render(search, meta, rows, positions, drawn)
    atomic_write(folder / "report.html", page)


def _row(rank: int, entry: Entry, found: Found) -> dict[str, Any]:
    return {
        "rank": rank,
        "energy": entry.energy,
        "above": entry.energy - found.entries[0].energy,
        "symmetry": entry.symmetry,
        "hits": len(entry.starts),
        "found": entry.found,
        "force": entry.force,
    }


def _meta(search: Search, found: Found) -> dict[str, Any]:
    system = search.system
    return {
        "system": system.name,
        "atoms": system.atoms,
        "unit": search.unit,
        "reference": float(system.reference) if system.has_reference else None,
        "reference_source": system.reference_source,
        "tolerance": float(system.tolerance),
        "plan": dataclasses.asdict(search.plan),
        "steps_done": search.done,
        "distinct": len(search.pool.minima),
        "search_evaluations": search.evaluations,
        "quench_evaluations": search.quench_evaluations,
        "refine_evaluations": found.evaluations,
        "unconverged_quenches": search.unconverged,
        "faults": search.faults,
        "seconds": round(search.seconds, 3),
        **search.about,
    }
