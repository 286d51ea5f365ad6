"""Reference energies that nobody published: what long searches found."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import hopgym
from benchmarks.store import read_sound_record
from hopgym.systems import morse
from hopgym.systems.gupta import load_minima
from hopgym.systems.silicon import SiliconCrystals

RESULTS = Path(__file__).parents[1] / "benchmarks/results"
STUDY = RESULTS / "search/references.jsonl"
SEARCHES = [json.loads(line) for line in STUDY.read_text().splitlines()]
ROUNDING = 1e-4  # eV: more than that of quenches in single precision


def find(name):
    """Evaluations of all searches of a system, and the energies of their minima."""
    mine = [search for search in SEARCHES if search["meta"]["system"] == name]
    minima = [minimum for search in mine for minimum in search["minima"]]
    assert all(minimum["force"] < 1e-6 for minimum in minima)
    energies = np.array([minimum["energy"] for minimum in minima])
    return sum(s["meta"]["search_evaluations"] for s in mine), energies


@pytest.mark.parametrize("name", load_minima())
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
