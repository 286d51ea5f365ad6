"""The search for lowest energies of alloys."""

import csv

import jax
import numpy as np
import pytest

import hopgym
from benchmarks import alloys
from benchmarks.alloys import Composition, choose_starts, transmute
from hopgym.chemistry import read_extxyz


def test_one_atom_becomes_one_of_the_other_metal():
    structure = np.arange(12.0).reshape(4, 3)  # two of each metal
    less, more = (transmute(structure, 2, to_second) for to_second in (True, False))
    assert [s[:, 0].tolist() for s in less] == [[3, 0, 6, 9], [0, 3, 6, 9]]
    assert [s[:, 0].tolist() for s in more] == [[0, 3, 6, 9], [0, 3, 9, 6]]


def test_starts_have_the_metals_of_their_own_composition():
    own, near, other = (
        Composition(*pair, number)
        for pair, number in ((("Ag", "Au"), 19), (("Ag", "Au"), 18), (("Pd", "Pt"), 19))
    )
    rows = np.arange(38.0)[:, None] * np.ones(3)
    for k, one in enumerate((own, near, other)):
        one.structures = [rows + 100 * k]
    starts = choose_starts(own, [own, near, other], most=6, seed=0)
    assert len(starts) == 6
    np.testing.assert_array_equal(starts[0], rows)
    ratio = float(own.system.length / other.system.length)
    np.testing.assert_allclose(starts[1], ratio * (rows + 200), rtol=1e-6)
    for start in starts[2:]:
        # One of the first 20 atoms has become one of the last 19.
        assert (np.diff(start[:19, 0]) > 0).all() and sorted(start[:, 0] - 100) == list(
            range(38)
        )
        assert start[19, 0] - 100 <= 19 and (start[20:] == rows[20:] + 100).all()
    assert len({start.tobytes() for start in starts}) == 6


def test_a_search_and_its_resumption(tmp_path, capsys, monkeypatch):
    jax.devices()  # the command asks for more devices where none are in use yet
    monkeypatch.setattr(alloys, "SEARCHES", ("bh-lbfgs",))
    monkeypatch.setattr(alloys, "HANDED_STEPS", 100)
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
    (tmp_path / "cells" / "rounds.npz").unlink()
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
