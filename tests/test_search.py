"""Searches from the command line: fingerprints, minima, resuming, files, bad input."""

import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

import hopgym
from hopgym.chemistry import read_extxyz
from hopgym.minima.fingerprint import compute_fingerprints
from hopgym.minima.pool import Pool
from hopgym.minima.symmetry import find_symmetry
from hopgym.optimizers import save
from hopgym.optimizers.learned import make_untrained
from hopgym.structure_search import session
from hopgym.structure_search.command import main
from hopgym.structure_search.formula import resolve_system_name
from hopgym.structures import diamond, icosahedron, truncated_octahedron

NEEDS_PYMATGEN = pytest.mark.skipif(
    not importlib.util.find_spec("pymatgen"), reason="needs pymatgen"
)
SMALL = ("LJ7", "--optimizer", "random-restart", "--starts", "4", "--steps", "300")
SMALL += ("--chunk", "60")


@pytest.fixture(autouse=True)
def started():
    """A search asks for more devices where none are in use yet."""
    jax.devices()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder of a search that was not interrupted, and its exit code."""
    folder = tmp_path_factory.mktemp("searches") / "lj7"
    return folder, main([*SMALL, "--out", str(folder)])


def results(folder):
    return json.loads((folder / "minima.json").read_text())


def without_times(folder):
    found = results(folder)
    for name in ("seconds", "command", "date"):
        del found["meta"][name]
    return found


def rotation(rng):
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return turn


@pytest.mark.parametrize("seed", range(5))
def test_fingerprints_do_not_see_how_a_cluster_is_put(seed):
    rng = np.random.default_rng(seed)
    species = rng.integers(0, 2, 12)
    places = rng.normal(0, 1.5, (12, 3))
    order = np.concatenate(
        [rng.permutation(np.flatnonzero(species == k)) for k in (0, 1)]
    )
    moved = places[order] @ rotation(rng) + rng.normal(size=3)
    reflected = places * [-1, 1, 1]
    (one,) = compute_fingerprints(places[None], species, 1.0)
    (two,) = compute_fingerprints(moved[None], species[order], 1.0)
    (three,) = compute_fingerprints(reflected[None], species, 1.0)
    np.testing.assert_allclose(two, one, atol=1e-10)
    np.testing.assert_allclose(three, one, atol=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_fingerprints_do_not_see_how_a_crystal_is_put(seed):
    rng = np.random.default_rng(seed)
    box = np.array([6.0, 7.0, 8.0])
    places = rng.uniform(size=(20, 3)) * box
    shifted = places + rng.normal(size=3) + box * rng.integers(-2, 3, (20, 3))
    species = np.zeros(20, int)
    (one,) = compute_fingerprints(places[None], species, 1.0, box)
    (two,) = compute_fingerprints(shifted[rng.permutation(20)][None], species, 1.0, box)
    np.testing.assert_allclose(two, one, atol=1e-9)


def test_fingerprints_tell_elements_and_small_changes_apart():
    places = np.random.default_rng(0).normal(0, 1.5, (1, 8, 3))
    first = compute_fingerprints(places, np.array([0] * 4 + [1] * 4), 1.0)
    other = compute_fingerprints(places, np.array([1] * 4 + [0] * 4), 1.0)
    assert np.max(np.abs(first - other)) > 0.05
    near = compute_fingerprints(places + 1e-4, np.array([0] * 4 + [1] * 4), 1.0)
    assert np.max(np.abs(first - near)) < 1e-3


@pytest.fixture(scope="module")
def quenched():
    """Minima of LJ-7 from 300 random starts."""
    system = hopgym.get_system("LJ-7")
    keys = jax.random.split(jax.random.key(0), 300)
    found = hopgym.quench(system, jax.jit(jax.vmap(system.sample))(keys)).positions
    # A quench may end at a saddle point, but not from beside it.
    noise = np.random.default_rng(0).normal(0, 1e-2, found.shape)
    return hopgym.quench(system, found + noise.astype(found.dtype))


def test_the_pool_knows_the_minima_of_small_clusters(quenched):
    # LJ-7 has four minima: Tsai and Jordan, J. Phys. Chem. 97, 11227 (1993).
    pool = Pool(hopgym.get_system("LJ-7"))
    pool.add(quenched, [{k} for k in range(300)], 5)
    energies = [round(minimum.energy, 3) for minimum in pool.minima]
    assert energies == [-16.505, -15.935, -15.593, -15.533]
    assert sum(len(minimum.starts) for minimum in pool.minima) == 300
    pool.add(quenched, [{k + 300} for k in range(300)], 9)
    assert len(pool.minima) == 4
    assert sum(len(minimum.starts) for minimum in pool.minima) == 600
    assert {minimum.found for minimum in pool.minima} == {5}


def test_the_pool_survives_a_file(quenched):
    system = hopgym.get_system("LJ-7")
    pool, again = Pool(system), Pool(system)
    pool.add(jax.tree.map(lambda x: x[:3], quenched), [{0}, {1}, {2}], 5)
    arrays = pool.arrays()
    again.restore(arrays)
    assert again.minima[0].starts == pool.minima[0].starts
    blank = pool.blank(len(arrays["energies"]), len(arrays["starts"]))
    for name, array in again.arrays().items():
        np.testing.assert_array_equal(array, arrays[name])
        assert (array.shape, array.dtype) == (blank[name].shape, blank[name].dtype)


@pytest.mark.parametrize(
    ("name", "positions", "expected"),
    [
        ("LJ-13", lambda s: icosahedron(1), "Ih"),
        ("Gupta-Ag38", lambda s: truncated_octahedron() * s.length, "Oh"),
        ("LJ-9", lambda s: np.random.default_rng(0).normal(0, 1, (9, 3)), "C1"),
        pytest.param(
            "SW-Si8", lambda s: diamond(1, 5.428), "Fd-3m", marks=NEEDS_PYMATGEN
        ),
    ],
)
def test_symmetries(name, positions, expected):
    system = hopgym.get_system(name)
    assert find_symmetry(system, np.asarray(positions(system), float)) == expected


def test_symmetry_of_crystals_is_optional(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymatgen", None)
    crystal = np.asarray(diamond(1, 5.428))
    assert find_symmetry(hopgym.get_system("SW-Si8"), crystal) == ""


@pytest.mark.parametrize(
    ("target", "potential", "name"),
    [
        ("Au55", None, "Gupta-Au55"),
        ("Au55", "gupta", "Gupta-Au55"),
        ("Au55", "gupta-table4", "Gupta-Au55-table4"),
        ("Au19Ag19", None, "Gupta-Ag19Au19"),
        ("PtAg12", "gupta", "Gupta-Ag12Pt1"),
        ("LJ38", None, "LJ-38"),
        ("LJ38", "lj", "LJ-38"),
        ("Ar38", None, "LJ-38"),
        ("Au13", "lj", "LJ-13"),
        ("Ar13", "morse6", "Morse6-13"),
        ("LJ13", "morse14", "Morse14-13"),
        ("Si64", None, "SW-Si64"),
        ("Si8", "sw", "SW-Si8"),
        ("LJ-38", None, "LJ-38"),
        ("Gupta-Au13", None, "Gupta-Au13"),
    ],
)
def test_formulas_name_systems(target, potential, name):
    assert resolve_system_name(target, potential) == name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "formula"),
        (["55"], "not a formula"),
        (["gold"], "not a formula"),
        (["Au0"], "at least 2"),
        (["Au"], "at least 2"),
        (["Fe13"], "no parameter set"),
        (["LJ1"], "LJ-2 to LJ-150"),
        (["LJ-1"], "LJ-2 to LJ-150"),
        (["LJ-x"], "unknown system"),
        (["Si9"], "choose one of"),
        (["Au13", "--potential", "sw"], "silicon"),
        (["LJ13", "--potential", "gupta"], "no elements"),
        (["AuAg", "--potential", "lj"], "one element"),
        (["Au13", "--potential", "guptas"], "did you mean 'gupta'"),
        (["LJ-13", "--potential", "lj"], "leave out --potential"),
        (["Ar13", "--potential", "morse5"], "range parameter"),
        (["LJ7", "--optimizer", "bh-lbfg"], "did you mean 'bh-lbfgs'"),
        (["LJ7", "--optimizer", "missing.eqx"], "missing.eqx"),
        (["LJ7", "--starts", "0"], "between 1 and"),
        (["LJ7", "--starts", "1.5"], "not an integer"),
        (["LJ7", "--starts", "1e9"], "between 1 and"),
        (["LJ7", "--starts", "1e999999999"], "between 1 and"),
        (["LJ7", "--steps", "-5"], "between 1 and"),
        (["LJ7", "--seed", "-1"], "between 0 and"),
        (["LJ7", "--time-limit", "0"], "must be positive"),
        (["LJ7", "--time-limit", "nan"], "must be positive"),
        (["LJ7", "--keep", "0"], "between 1 and"),
        (["LJ7", "--resume"], "no search to resume"),
        (["LJ7", "--bogus"], "unrecognized"),
        (["LJ7", "LJ8"], "unrecognized"),
    ],
)
def test_nonsense_is_one_line_and_changes_nothing(words, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*words, "--out", str(tmp_path / "out")])
    assert stop.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("package", ["ase", "plotly"])
def test_missing_packages_are_named(package, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SystemExit) as stop:
        main(["LJ7", "--out", str(tmp_path / "out")])
    assert stop.value.code == 2
    assert 'pip install "hopgym[chemistry]"' in capsys.readouterr().err


def test_files_agree_with_each_other(finished):
    folder, code = finished
    assert code == 0
    found = results(folder)
    minima, meta = found["minima"], found["meta"]
    assert minima[0]["energy"] == pytest.approx(-16.505384, abs=1e-6)
    assert 1 <= minima[0]["hits"] <= 4
    assert len(minima) == meta["distinct"] <= 4
    energies = [row["energy"] for row in minima]
    assert energies == sorted(energies)
    assert max(row["force"] for row in minima) < 1e-5
    with (folder / "minima.csv").open() as stream:
        table = list(csv.DictReader(stream))
    assert [float(row["energy"]) for row in table] == energies
    system = hopgym.get_system("LJ-7")
    images = read_extxyz(folder / "minima.extxyz")
    for atoms, row in zip(images, minima, strict=True):
        assert atoms.get_potential_energy() == pytest.approx(row["energy"])
        energy, _ = system.energy_and_gradient(jax.numpy.asarray(atoms.positions))
        assert float(energy) == pytest.approx(row["energy"], abs=1e-4)
    pictures = sorted(path.name for path in (folder / "pictures").iterdir())
    assert pictures == [f"minimum-{k + 1:02}.png" for k in range(len(minima))]


def test_evaluations_are_those_of_the_rollout(finished):
    folder, _ = finished
    meta, curve = results(folder)["meta"], results(folder)["curve"]
    assert meta["search_evaluations"] == 4 * 301
    assert [row[0] for row in curve] == [4 * (60 * k + 1) for k in range(1, 6)]
    assert 8 * 5 <= meta["quench_evaluations"] < 8 * 5 * 300
    assert 0 < meta["refine_evaluations"] < 500
    assert meta["faults"] == 0


def test_the_report_needs_nothing_else(finished):
    folder, _ = finished
    page = (folder / "report.html").read_text()
    outside = page.replace(page[page.index("<script>") : page.index('id="data"')], "")
    assert "http" not in outside
    assert "@" not in outside.partition("<script")[0].partition("</style>")[2]
    data = outside.partition('type="application/json">')[2].partition("</script>")[0]
    shown = json.loads(data)
    assert len(shown["structures"]["positions"][0]) == 7
    assert len(shown["charts"]) == 3
    assert "Plotly.react" in outside


def test_a_finished_search_is_not_done_again(finished, monkeypatch):
    folder, _ = finished
    before = without_times(folder)
    monkeypatch.setattr(session.Search, "advance", None)
    assert main([*SMALL, "--out", str(folder)]) == 0
    assert without_times(folder) == before
    assert main(["--out", str(folder), "--resume", "--keep", "1"]) == 0
    assert len(results(folder)["minima"]) == 1
    assert len(list((folder / "pictures").iterdir())) == 1
    assert main([*SMALL, "--out", str(folder)]) == 0


@pytest.mark.parametrize("how", ["signal", "killed", "time limit"])
def test_interrupted_searches_go_on_as_if_nothing_had_been(
    how, finished, tmp_path, monkeypatch, capsys
):
    advance = session.Search.advance

    def interrupted(self, stop):
        if self.done == 180:
            raise SystemExit("killed")
        advance(self, stop)
        if self.done == 120 and how != "killed":
            os.kill(os.getpid(), signal.SIGINT)

    words = [*SMALL, "--out", str(tmp_path)]
    if how == "time limit":
        assert main([*words, "--time-limit", "1e-9"]) == 1
        assert "time limit reached" in capsys.readouterr().err
    else:
        monkeypatch.setattr(session.Search, "advance", interrupted)
        monkeypatch.setattr(session, "SAVE_SECONDS", 0.0)
        if how == "signal":
            assert main(words) == 1
            assert "stopped after step 120 of 300" in capsys.readouterr().err
            assert results(tmp_path)["minima"]
        else:
            with pytest.raises(SystemExit, match="killed"):
                main(words)
        monkeypatch.undo()
    again = ["--out", str(tmp_path), "--resume"] if how == "killed" else words
    assert main(again) == 0
    assert without_times(tmp_path) == without_times(finished[0])
    assert (tmp_path / "minima.extxyz").read_bytes() == (
        finished[0] / "minima.extxyz"
    ).read_bytes()


def test_folders_with_something_else_are_left_alone(finished, tmp_path, capsys):
    folder, _ = finished
    before = (folder / "search.eqx").read_bytes()
    for words in (
        [*SMALL, "--seed", "1"],
        ["LJ8"],
        ["--resume", "--seed", "4"],
        ["--resume", "--steps", "200"],
        [word for word in SMALL if word not in ("--steps", "300")],
        ["LJ8", "--resume"],
    ):
        with pytest.raises(SystemExit) as stop:
            main([*words, "--out", str(folder)])
        assert stop.value.code == 2
        assert "holds another search" in capsys.readouterr().err
    assert (folder / "search.eqx").read_bytes() == before
    for content in (b"nonsense", before[:-20]):
        (tmp_path / "search.eqx").write_bytes(content)
        with pytest.raises(SystemExit) as stop:
            main([*SMALL, "--out", str(tmp_path)])
        assert stop.value.code == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
        assert (tmp_path / "search.eqx").read_bytes() == content


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as stop:
        main([*SMALL, "--out", str(tmp_path / "file" / "out")])
    assert stop.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_crystal(tmp_path):
    words = ["Si8", "--optimizer", "gd", "--starts", "2", "--steps", "20"]
    assert main([*words, "--out", str(tmp_path)]) == 0
    images = read_extxyz(tmp_path / "minima.extxyz")
    assert images
    assert all(atoms.pbc.all() for atoms in images)
    assert '"box": [5.4' in (tmp_path / "report.html").read_text()


def test_the_module_is_a_command_also_in_an_undecodable_folder(tmp_path):
    out = tmp_path / os.fsdecode(b"caf\xe9")
    words = ["LJ4", "--optimizer", "gd", "--starts", "2", "--steps", "60"]
    words += ["--out", str(out)]
    found = subprocess.run(
        [sys.executable, "-m", "hopgym.search", *words], capture_output=True, text=True
    )
    assert found.returncode == 0
    assert "epsilon" in found.stdout
    assert "distinct minima" in found.stderr
    assert "Warning" not in found.stderr
    assert "caf\\xe9" in (out / "report.html").read_text()


def test_weights_that_have_changed_are_another_search(tmp_path, capsys):
    path, out = tmp_path / "mine.eqx", tmp_path / "out"
    words = ["LJ7", "--optimizer", str(path), "--starts", "2", "--steps", "40"]
    search = make_untrained("bh-lbfgs", jax.random.key(0))
    save(path, search, {"name": "bh-lbfgs"}, {})
    assert main([*words, "--out", str(out)]) == 0
    save(path, jax.tree.map(lambda x: x + 1, search), {"name": "bh-lbfgs"}, {})
    with pytest.raises(SystemExit) as stop:
        main([*words, "--out", str(out)])
    assert stop.value.code == 2 and "weights is " in capsys.readouterr().err
