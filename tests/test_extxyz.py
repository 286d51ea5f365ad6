"""Extended XYZ files: what is written is read back; what others write is read."""

import gzip
import warnings

import ase
import ase.build
import ase.io
import jax
import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hopgym
from hopgym.chemistry import from_ase, read_extxyz, write_extxyz
from hopgym.chemistry._extxyz_header import RESERVED
from hopgym.optimizers import LBFGS

PAIR = ase.Atoms("X2", [[0, 0, 0], [1, 0, 0]])
LJ2, PLACES = from_ase(PAIR, "lj")
FRAME = (
    '2\nenergy=-0.35D+01 Lattice="5.0D0 0 0 0 5d0 0 0 0 5" name=1D5x uid=1D5\n'
    "Au 1.0D-1 2 3\nAg -.5d1 2. 3E0\n"
)


def test_round_trip(tmp_path):
    path = tmp_path / "found.extxyz"
    system = hopgym.get_system("Gupta-Ag1Au3")
    places = np.random.default_rng(0).normal(0, 2, (3, 4, 3))
    energies = np.array([-1.0, -2.5, -3.25])
    info = [{"symmetry": "C1", "rank": k} for k in range(3)]
    write_extxyz(path, system, places, energies, -places, info)
    images = read_extxyz(path)
    assert [atoms.get_potential_energy() for atoms in images] == energies.tolist()
    assert [atoms.info["rank"] for atoms in images] == [0, 1, 2]
    for atoms, place in zip(images, places, strict=True):
        assert atoms.get_chemical_symbols() == system.symbols
        np.testing.assert_allclose(atoms.positions, place, atol=1e-7)
        np.testing.assert_allclose(atoms.get_forces(), place, atol=1e-7)
    write_extxyz(path, system, places[0])
    assert len(read_extxyz(path)) == 1


def test_files_keep_the_cell(tmp_path):
    system = hopgym.get_system("SW-Si8")
    write_extxyz(tmp_path / "si", system, system.sample(jax.random.key(0)))
    (atoms,) = read_extxyz(tmp_path / "si")
    assert atoms.pbc.all()
    np.testing.assert_allclose(atoms.cell.lengths(), np.asarray(system.box))


def test_files_of_results_and_trajectories(tmp_path):
    system = hopgym.get_system("LJ-4")
    result = hopgym.rollout(
        hopgym.Environment(system), LBFGS(), jax.random.key(0), 2, 20, frames=3
    )
    write_extxyz(tmp_path / "best", system, result)
    best = [atoms.get_potential_energy() for atoms in read_extxyz(tmp_path / "best")]
    np.testing.assert_allclose(best, np.asarray(result.state.best_energy), rtol=1e-6)
    assert result.frames is not None
    write_extxyz(tmp_path / "course", system, result.frames)
    images = read_extxyz(tmp_path / "course")
    steps = [(atoms.info["start"], atoms.info["step"]) for atoms in images]
    assert steps == [(start, step) for start in (0, 1) for step in (7, 14, 20)]


def test_broken_files_are_refused_and_failed_writes_leave_nothing(tmp_path):
    broken = tmp_path / "broken.extxyz"
    broken.write_text("4\nnonsense\nAu 1 2\n")
    with pytest.raises(ValueError, match="not a complete extended XYZ"):
        read_extxyz(broken)
    with pytest.raises(FileNotFoundError):
        read_extxyz(tmp_path / "missing.extxyz")
    system = hopgym.get_system("LJ-4")
    with pytest.raises(ValueError, match="finite"):
        write_extxyz(tmp_path / "new", system, np.full((4, 3), np.nan))
    with pytest.raises(ValueError, match=r"zip|shorter|longer"):
        write_extxyz(tmp_path / "new", system, np.zeros((2, 4, 3)), np.zeros(3))
    assert [path.name for path in tmp_path.iterdir()] == ["broken.extxyz"]


VALUES = st.one_of(
    st.text(),
    st.text(alphabet="TFDe0123456789.+-,_ \\\"'{}[]=\n\r"),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.lists(st.integers() | st.floats() | st.text(), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)


def read_back(path, info, energy=-1.5):
    """The entries of one structure and its energy, written and read."""
    with warnings.catch_warnings():
        # NumPy's about numbers that overflow, in ASE.
        warnings.simplefilter("ignore", RuntimeWarning)
        write_extxyz(path, LJ2, PLACES, np.array([energy]), info=[info])
        (atoms,) = read_extxyz(path)
    np.testing.assert_array_equal(atoms.positions, PAIR.positions)
    return atoms.info, atoms.get_potential_energy()


def is_equal(value, found):
    if isinstance(value, list):
        # Lists of numbers are read as arrays, in which integers may become real.
        pairs = zip(value, list(found), strict=True)
        return all(x == y or (x != x and y != y) for x, y in pairs)
    if isinstance(value, float):
        return found == value or (value != value and found != found)
    if isinstance(value, bool):
        return found == value and isinstance(found, bool | np.bool_)
    return found == value and isinstance(found, type(value) | np.integer)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.dictionaries(st.text() | st.sampled_from("abc"), VALUES, max_size=3))
def test_entries_are_read_back_or_refused(tmp_path, info):
    try:
        found, energy = read_back(tmp_path / "x", info)
    except ValueError as error:
        assert "info: " in str(error)
        return
    assert energy == -1.5
    written = {k: v for k, v in info.items() if v is not None and v != ""}
    assert found.keys() == written.keys()
    for key, value in written.items():
        assert is_equal(value, found[key]), (key, value, found[key])


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(
            st.lists(st.floats(-1e6, 1e6), min_size=6, max_size=6), st.floats(width=32)
        ),
        min_size=1,
        max_size=4,
    )
)
def test_structures_are_read_back(tmp_path, frames):
    places = np.array([place for place, _ in frames]).reshape(-1, 2, 3)
    energies = np.array([energy for _, energy in frames])
    write_extxyz(tmp_path / "x", LJ2, places, energies, -places)
    images = read_extxyz(tmp_path / "x")
    found = [atoms.get_potential_energy() for atoms in images]
    np.testing.assert_array_equal(found, energies)
    for atoms, place in zip(images, places, strict=True):
        np.testing.assert_allclose(atoms.positions, place, rtol=1e-15, atol=6e-9)
        np.testing.assert_allclose(atoms.get_forces(), place, rtol=1e-15, atol=6e-9)


TEXTS = ("T", "F", "007", "1e5", "1D5", "a\\", "a\nb", "\r", "1 2", "_JSON 1", "nan")
QUOTES = ("a=1D5 b", "x'y", '"', "[1]", "{", "C2v", "\u2028", "True")


@pytest.mark.parametrize("text", [*TEXTS, *QUOTES])
def test_texts_stay_texts(tmp_path, text):
    assert read_back(tmp_path / "x", {"symmetry": text}) == ({"symmetry": text}, -1.5)


def test_empty_entries_are_left_out(tmp_path):
    assert read_back(tmp_path / "x", {"a": "", "b": None, "c": 0})[0] == {"c": 0}


@pytest.mark.parametrize("key", ["Properties", "pbc", "free_energy", "Lattice"])
def test_reserved_names_are_refused(tmp_path, key):
    assert key in RESERVED
    with pytest.raises(ValueError, match="meaning of its own"):
        read_back(tmp_path / "x", {key: "T"})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [object(), 1j, {1: 2}, [[1], [2, 3], object()]])
def test_values_that_do_not_come_back_are_refused(tmp_path, value):
    with pytest.raises(ValueError, match=r"'a' with the value .* not be read back"):
        read_back(tmp_path / "x", {"a": value})


def test_units_too_small_for_the_decimals_are_refused(tmp_path):
    metres = PAIR.copy()
    metres.positions *= 3.4e-10
    system, positions = from_ase(metres, "lj", d0=3.4e-10)
    with pytest.raises(ValueError, match="8 decimals"):
        write_extxyz(tmp_path / "x", system, positions)


def read(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_extxyz(path)


@pytest.mark.parametrize(
    "content",
    [
        FRAME + "\n" + FRAME,
        "\n \n" + FRAME + FRAME + "\n\n",
        "\ufeff" + FRAME * 2,
        (FRAME * 2).replace("\n", "\r\n"),
        gzip.compress((FRAME * 2).encode(), mtime=0),
    ],
)
def test_all_structures_are_read(tmp_path, content):
    images = read(tmp_path / "x", content)
    assert len(images) == 2
    for atoms in images:
        np.testing.assert_array_equal(atoms.positions, [[0.1, 2, 3], [-5, 2, 3]])
        assert atoms.get_potential_energy() == -3.5
        np.testing.assert_array_equal(atoms.cell, 5 * np.eye(3))
        assert atoms.info == {"name": "1D5x", "uid": "1D5"}


def test_columns_of_text_are_not_numbers(tmp_path):
    header = "Properties=species:S:1:pos:R:3:label:S:1"
    (atoms,) = read(tmp_path / "x", f"1\n{header}\nAu 1D0 0 0 1D5\n")
    assert atoms.arrays["label"].tolist() == ["1D5"]
    assert atoms.positions[0, 0] == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "no structure"),
        ("\n\n", "no structure"),
        (FRAME + "garbage\n", "line 5: expected the number of atoms, got 'garbage'"),
        (FRAME + "\n\nAu 0 0 0\n", "line 7: expected the number of atoms"),
        (FRAME + "2\n\nAu 0 0 0\n", "line 5: expected 2 atoms, got 1"),
        ("2\n\nAu 0 0 0\n\nAu 0 0 1\n", "line 1: expected 2 atoms, got 1"),
        ("99999999999\n\nAu 0 0 0\n", "expected 99999999999 atoms, got 1"),
        ("-1\n\n", "line 1: expected the number"),
        ("2\n\nAu1 0 0 0\nAu2 0 0 2\n", "line 3: 'Au1' is no chemical symbol"),
        ("2\n\nAu 0 0 0\nAu 0 x 0\n", "line 4: pos 'x' is no number"),
        ("2\n\nAu 0 0 0\nAu 0 0\n", "line 4: expected 4 columns, got 3"),
        ("1\nProperties=foo\nAu 0 0 0\n", "line 2: no columns"),
        ('1\nLattice="1 2"\nAu 0 0 0\n', "line 1: .*Lattice"),
        (FRAME.encode("utf-16"), "not a text file in UTF-8"),
        (gzip.compress(FRAME.encode(), mtime=0)[:-9], "compressed file is damaged"),
    ],
)
def test_anything_else_is_refused_with_file_and_line(tmp_path, content, words):
    with pytest.raises(ValueError, match=rf"x\b.*{words}"):
        read(tmp_path / "x", content)


def test_files_of_ase_are_read(tmp_path):
    slab = ase.build.fcc111("Cu", (2, 2, 3), vacuum=10)
    slab.info.clear()
    slab.set_constraint(FixAtoms([0, 2]))
    slab.calc = EMT()
    slab.get_stress()
    slab.new_array("label", np.array(["1D5"] * 12))
    ase.io.write(tmp_path / "x", [slab, slab[:0], slab], format="extxyz")
    first, nothing, _ = read_extxyz(tmp_path / "x")
    assert first.pbc.tolist() == [True, True, False]
    assert first.constraints[0].index.tolist() == [0, 2]
    assert first.arrays["label"].tolist() == ["1D5"] * 12
    np.testing.assert_allclose(first.get_forces(), slab.get_forces(), atol=1e-8)
    np.testing.assert_allclose(first.get_stress(), slab.get_stress())
    assert len(nothing) == 0
    ase.io.write(tmp_path / "y", [slab, slab], format="extxyz", vec_cell=True)
    np.testing.assert_allclose(
        np.asarray(read_extxyz(tmp_path / "y")[1].cell)[:2], np.asarray(slab.cell)[:2]
    )
