"""Reference energies that nobody published: what long searches found."""

import functools
import importlib.resources
import json
import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from potential_cases import gupta_terms

import hopgym
from benchmarks.paper.figure7 import ATOMS, name_system
from benchmarks.store import read_sound_record
from hopgym.chemistry import read_extxyz
from hopgym.systems import morse
from hopgym.systems._minima import read_minima
from hopgym.systems.gupta import PAIRS, load_minima, load_parameter_sets
from hopgym.systems.silicon import SiliconCrystals

RESULTS = Path(__file__).parents[1] / "benchmarks/results"
DOCS = Path(__file__).parents[1] / "docs"
STUDY = RESULTS / "search/references.jsonl"
SEARCHES = [json.loads(line) for line in STUDY.read_text().splitlines()]
METALS = [s["meta"]["system"] for s in SEARCHES if s["meta"]["system"] in load_minima()]
ALLOYS = [
    name_system(pair[:2], pair[2:], number)
    for pair in PAIRS
    for number in range(ATOMS + 1)
]
ROUNDING = 1e-4  # eV: more than that of quenches in single precision
PRECISION = 2e-6  # of energies in single precision


def find(name):
    """Evaluations of all searches of a system, and the energies of their minima."""
    mine = [search for search in SEARCHES if search["meta"]["system"] == name]
    minima = [minimum for search in mine for minimum in search["minima"]]
    assert all(minimum["force"] < 1e-6 for minimum in minima)
    energies = np.array([minimum["energy"] for minimum in minima])
    return sum(s["meta"]["search_evaluations"] for s in mine), energies


def test_metals_were_searched():
    pure = {name_system(p[:2], p[2:], number) for p in PAIRS for number in (0, ATOMS)}
    assert {*METALS} == pure | {"Gupta-Au55"}


@pytest.mark.parametrize("name", sorted(set(METALS)))
def test_lowest_minima_of_metals(name):
    """No lower one was found, and rounded energies tell the reference from the next."""
    system = hopgym.get_system(name)
    evaluations, energies = find(name)
    assert evaluations > 5e6
    gap = energies - load_minima()[name]["energy"]
    is_lowest = np.abs(gap) < 1e-4
    assert is_lowest.any() and (gap > -1e-4).all()
    for rounding in (-ROUNDING, 0, ROUNDING):
        hits = np.asarray(system.is_hit(jnp.asarray(energies + rounding, float)))
        np.testing.assert_array_equal(hits, is_lowest)


def compute_gupta(pair, symbols, positions):
    """Energy and gradient of a cluster of two metals."""
    table = dict(load_parameter_sets()[pair]["pairs"])
    table |= {"-".join(key.split("-")[::-1]): entry for key, entry in table.items()}
    a, xi, p, q, d0 = (
        np.array([[table[f"{x}-{y}"][name] for y in symbols] for x in symbols])
        for name in ("a", "xi", "p", "q", "d0")
    )
    r, repulsion, density = gupta_terms(a, xi, p, q, d0, positions)
    apart = positions[:, None] - positions
    root = np.sqrt(density.sum(1))
    slope = -2 * p / d0 * repulsion + q / d0 * density * (1 / root + 1 / root[:, None])
    return repulsion.sum() - root.sum(), ((slope / r)[..., None] * apart).sum(1)


def test_structures_of_alloys_are_minima_with_the_energies_of_the_table():
    minima = load_minima()
    data = importlib.resources.files("hopgym") / "data"
    with importlib.resources.as_file(data / "alloy_minima.xyz") as path:
        images = read_extxyz(path)
    assert [atoms.info["system"] for atoms in images] == ALLOYS
    for number, (atoms, name) in enumerate(zip(images, ALLOYS, strict=True)):
        assert list(atoms.symbols) == list(hopgym.get_system(name).symbols)
        pair = "".join(re.findall("([A-Z][a-z])[0-9]", name))
        compute = functools.partial(compute_gupta, pair, atoms.symbols)
        energy, gradient = compute(atoms.positions)
        assert energy == pytest.approx(minima[name]["energy"], abs=2e-6)
        assert energy == pytest.approx(atoms.get_potential_energy(), abs=1e-6)
        assert np.abs(gradient).max() < 1e-4
        if number % 10 == 0:
            moves = 1e-4 * np.eye(atoms.positions.size).reshape(-1, *gradient.shape)
            slopes = [
                compute(atoms.positions + move)[1] - compute(atoms.positions - move)[1]
                for move in moves
            ]
            hessian = np.reshape(slopes, (len(moves), -1)) / 2e-4
            curvatures = np.linalg.eigvalsh((hessian + hessian.T) / 2)
            # Six of them are shifts and rotations.
            assert np.abs(curvatures[:6]).max() < 1e-3 < 0.01 < curvatures[6]


def test_how_alloys_were_found():
    rows = [row for row in read_minima("alloy_minima.csv") if "0" not in counts(row)]
    found = [int(row["hits"]) for row in rows]
    assert all(
        (hits > 0) == (row["round"] == "0")
        for hits, row in zip(found, rows, strict=True)
    )
    often, seldom = sum(hits > 3 for hits in found), sum(0 < hits < 4 for hits in found)
    text = f"Of {len(rows)} alloys, {often} were found from more than three random "
    text += f"starts, {seldom} from one to three, and {found.count(0)} only from"
    assert text in read_words("landscapes.md")
    for name in ("Ag19Au19", "Pd19Pt19"):
        energy = load_minima()[f"Gupta-{name}"]["energy"]
        assert f"{energy:.4f} eV for {name}" in read_words("hard_minima.md")


def read_words(page):
    return " ".join((DOCS / page).read_text().split())


def counts(row):
    return re.findall("[A-Z][a-z]([0-9]+)", row["system"])


def test_nothing_below_the_minima_of_alloys():
    """In no committed record."""
    checked = set()
    for path in RESULTS.glob("*/results.jsonl"):
        for cell in read_sound_record(path.parent):
            if cell["system"] in ALLOYS:
                checked.add(cell["system"])
                reference = load_minima()[cell["system"]]["energy"]
                energies = (*cell["energies"], cell["min"], cell["final_min"])
                assert min(energies) > reference * (1 + PRECISION)
    assert checked >= {"Gupta-Ag19Au19", "Gupta-Pd19Pt19"}


@pytest.mark.parametrize("name", SiliconCrystals.names)
def test_nothing_below_diamond(name):
    evaluations, energies = find(name)
    assert evaluations > (5e5 if name == "SW-Si216" else 5e6)
    assert energies.min() > float(hopgym.get_system(name).reference) - 1e-4


def test_lowest_minima_of_morse_clusters():
    """All that are not published were found, several times, and nothing lower."""
    minima = morse.load_minima()
    cells = {cell["system"]: cell for cell in read_sound_record(RESULTS / "morse")}
    assert all(cell["starts"] * cell["steps"] >= 5e6 for cell in cells.values())
    for (rho, atoms), (reference, source) in minima.items():
        cell = cells.get(f"Morse{rho}-{atoms}")
        if cell is None:
            assert source != "search"
            continue
        assert cell["dtype"] == "float64"
        above = np.array(cell["energies"]) - reference
        assert above.min() == pytest.approx(0, abs=2e-6)
        assert source != "search" or np.sum(above < 1e-3) >= 4
