"""The search for lowest energies of alloys."""

import csv
from pathlib import Path

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

DATA = Path(hopgym.__file__).parent / "data"


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
    start = other.system.sample(jax.random.key(4))
    quenched = np.asarray(hopgym.quench(other.system, start).positions)
    other.structures = [quenched]
    (adopted,) = own.adopt(other)
    ratio = float(own.system.length / other.system.length)

    def sort(rows):
        return rows[np.lexsort(rows.T)]

    np.testing.assert_allclose(sort(adopted), sort(ratio * quenched), rtol=1e-6)
    # The metals are in a better order than before, which no exchange lowers.
    exchanged = []
    for i in range(19):
        for j in range(19, 38):
            one = adopted.copy()
            one[[i, j]] = one[[j, i]]
            exchanged.append(one)
    ones = jnp.asarray([adopted, ratio * quenched, *exchanged])
    energies, _ = jax.vmap(own.system.energy_and_gradient)(ones)
    assert energies[0] < energies[1] - 0.1
    assert (energies[2:] > energies[0] - 1e-3).all()


def test_what_is_handed_on_is_searched():
    own, other = Composition("Pd", "Pt", 1), Composition("Pd", "Pt", 2)
    images = read_extxyz(DATA / "alloy_minima.xyz")
    known = {image.info["system"]: image for image in images}
    other.structures = [known[other.system.name].positions]
    own._quench(own.system.sample(jax.random.key(4))[None])
    bad = own.energies.min()
    own.go_on_from([other], 3, seed=4)
    lowest = known[own.system.name].get_potential_energy()
    assert lowest - 1e-3 < own.energies.min() < lowest + 0.1 < bad
    assert own.found_in == own.last_round == 3


def test_rounds_end_when_nothing_is_found(tmp_path, monkeypatch):
    compositions = [Composition("Pd", "Pt", number) for number in (1, 2, 3)]
    handed = []

    def search(own, name, starts, steps, seed):
        own.energies, own.structures = np.zeros(1), [np.zeros((38, 3))]

    def go_on_from(own, others, number, seed):
        handed.append((number, own.number, [other.number for other in others]))
        own.last_round = number
        if (number, own.number) in ((1, 3), (2, 1)):
            own.found_in = number

    monkeypatch.setattr(Composition, "search", search)
    monkeypatch.setattr(Composition, "go_on_from", go_on_from)
    alloys.find_minima(compositions, 1, 1, 0, tmp_path)
    assert handed == [
        *((1, 1, [2, 3]), (1, 2, [1, 3]), (1, 3, [1, 2])),
        # 3 has got lower in the first round, 1 in the second, before it is 2's turn.
        *((2, 1, [3]), (2, 2, [1, 3]), (2, 3, [1])),
        *((3, 1, []), (3, 2, [1]), (3, 3, [1])),
        *((4, 1, []), (4, 2, []), (4, 3, [])),
    ]
    # Without the file of one, the rounds begin anew.
    handed.clear()
    (tmp_path / "Gupta-Pd36Pt2-rounds.npz").write_bytes(b"")
    fresh = [Composition("Pd", "Pt", number) for number in (1, 2, 3)]
    alloys.find_minima(fresh, 1, 1, 0, tmp_path)
    assert len(handed) == 12
    with pytest.raises(ValueError, match="is of another search"):
        alloys.find_minima(fresh[:2], 1, 1, 0, tmp_path)


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
    # Interrupted rounds go on, with the same result.
    go_on_from = Composition.go_on_from
    for calls in (1, 3):
        for path in (tmp_path / "cells").glob("*-rounds.npz"):
            path.unlink()
        left = iter(range(calls))

        def stop(*arguments, left=left):
            if next(left, None) is None:
                raise InterruptedError
            go_on_from(*arguments)

        with monkeypatch.context() as patch, pytest.raises(SystemExit):
            patch.setattr(Composition, "go_on_from", stop)
            alloys.main(words)
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
