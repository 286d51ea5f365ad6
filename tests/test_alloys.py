"""The search for lowest energies of alloys."""

import csv

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hopgym
from benchmarks import alloys
from benchmarks.alloy_search import composition
from benchmarks.alloy_search.chemical_order import PairTerms, find_order
from benchmarks.alloy_search.composition import Composition
from hopgym.chemistry import read_extxyz
from hopgym.potentials import Gupta


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("formula", ["Ag5Pt8", "Ag12Pt1", "Ag0Pt13"])
def test_the_order_cannot_be_lowered_by_an_exchange(formula):
    system = hopgym.get_system(f"Gupta-{formula}")
    number = list(system.symbols).count("Pt")
    potential = system.potential
    assert isinstance(potential, Gupta)
    starts = jax.vmap(system.sample)(jax.random.split(jax.random.key(4), 3))
    quenched = np.asarray(hopgym.quench(system, starts).positions)

    def compute(positions, orders):
        """Energies with orders, in which the first metal is put first."""
        sorted_ones = [positions[np.argsort(x, kind="stable")] for x in orders]
        energies, _ = jax.vmap(system.energy_and_gradient)(jnp.asarray(sorted_ones))
        return np.asarray(energies)

    for seed, positions in enumerate(quenched):
        generator = np.random.default_rng(seed)
        order = generator.random(13) < 0.5
        found = find_order(potential, positions, order, number)
        assert found.sum() == number
        pairs = [(i, j) for i in np.flatnonzero(~found) for j in np.flatnonzero(found)]
        orders = np.repeat(found[None], 1 + len(pairs), axis=0)
        for one, pair in zip(orders[1:], pairs, strict=True):
            one[[*pair]] ^= True
        energies = compute(positions, orders)
        assert (energies[1:] > energies[0] - 1e-5).all()
        terms = PairTerms.make(potential, positions)
        np.testing.assert_allclose(terms.compute_energies(orders), energies, rtol=1e-9)
        again = find_order(potential, positions, found, number)
        np.testing.assert_array_equal(again, found)


def test_structures_of_others_get_the_metals_of_a_composition():
    own, other = Composition("Ag", "Au", 19), Composition("Pd", "Pt", 12)
    start = np.asarray(other.system.sample(jax.random.key(4)))
    other.structures = [start]
    (adopted,) = own.adopt(other)
    ratio = float(own.system.length / other.system.length)

    def sort(rows):
        return rows[np.lexsort(rows.T)]

    np.testing.assert_allclose(sort(adopted), sort(ratio * start), rtol=1e-6)
    assert adopted.shape == start.shape


def test_a_search_and_its_resumption(tmp_path, capsys, monkeypatch):
    jax.devices()  # the command asks for more devices where none are in use yet
    monkeypatch.setattr(alloys, "SEARCHES", ("bh-lbfgs",))
    monkeypatch.setattr(composition, "STEPS", 100)
    monkeypatch.setattr(composition, "KNOWN", 4)
    words = ["--pairs", "PdPt", "--numbers", "1,2", "--starts", "2", "--steps", "300"]
    words += ["--out", str(tmp_path)]
    assert alloys.main(words) == 0
    text = (tmp_path / alloys.TABLE).read_text()
    assert "# Source: python benchmarks/alloys.py --pairs PdPt" in text
    images = read_extxyz(tmp_path / alloys.STRUCTURES)
    found = read_table(text)
    assert [row["system"] for row in found] == ["Gupta-Pd37Pt1", "Gupta-Pd36Pt2"]
    for row, atoms in zip(found, images, strict=True):
        assert int(row["evaluations"]) >= 2 * 301
        assert int(row["hits"]) <= int(row["starts"]) == 2
        assert (int(row["hits"]) > 0) == (row["round"] == "0")
        assert not row["next"] or float(row["next"]) > float(row["energy"])
        with jax.enable_x64(True):
            system = hopgym.get_system(row["system"])
            assert list(atoms.symbols) == list(system.symbols)
            assert atoms.info["system"] == system.name
            positions = jax.numpy.asarray(atoms.positions)
            energy, gradient = system.energy_and_gradient(positions)
            assert float(energy) == pytest.approx(float(row["energy"]), abs=1e-6)
            assert np.abs(gradient).max() < 1e-3
    capsys.readouterr()
    assert alloys.main(words) == 0
    again = read_table((tmp_path / alloys.TABLE).read_text())
    assert again == found
    # Rounds that were interrupted are done again, with the same result.
    for path in (tmp_path / "cells").glob("*-rounds.npz"):
        path.unlink()
    assert alloys.main(words) == 0
    assert read_table((tmp_path / alloys.TABLE).read_text()) == found


def read_table(text):
    return list(csv.DictReader(x for x in text.splitlines() if x[0] != "#"))


@pytest.mark.parametrize(
    "words, message",
    [
        (["--pairs", "AuAg"], "unknown pair 'AuAg'"),
        (["--numbers", "39"], "unknown number '39'"),
    ],
)
def test_bad_input(words, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        alloys.main([*words, "--out", str(tmp_path / "new")])
    assert stopped.value.code == 2 and message in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
