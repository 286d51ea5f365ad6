"""Suites: what they are, evaluation from Python, and the committed entries."""

import hashlib
import json
from pathlib import Path

import jax
import numpy as np
import pytest

import hopgym
from hopgym.optimizers import GradientDescent, list_trained, read_header
from hopgym.suites import leaderboard, verify
from hopgym.suites.entry import locate_structures
from hopgym.suites.entry import read_header as read_entry_header
from hopgym.suites.formulas import compute_energy
from hopgym.suites.starts import compute_start_energies
from hopgym.suites.structures import load
from hopgym.suites.v1 import UNSEEN, V1
from hopgym.suites.verified import hash_files, read

# The suite


def test_the_suite_is_frozen():
    """Its systems, budgets and starts are those of its release."""
    assert V1.budgets == (2000, 10_000, 50_000) and V1.starts == 100
    assert len(V1.test) == 20 and not {*V1.test} & {*V1.development}
    content = json.dumps([V1.development, V1.test, V1.references])
    digest = hashlib.sha256(content.encode()).hexdigest()
    assert digest.startswith("95daba7094a15cf5")
    assert V1.references.keys() == {*V1.test}
    for name in V1.test:
        # Lower ones that are found later do not change the suite.
        reference = float(hopgym.get_system(name).reference)
        assert reference <= V1.references[name][0] + 1e-4
        assert float(V1.get_system(name).reference) == np.float32(
            V1.references[name][0]
        )
    seeds = [V1.derive_seed(name) for name in ("LJ-13", "LJ-75", "SW-Si64")]
    assert seeds == [803967386, 1576594769, 1417167381]
    energies = compute_start_energies(hopgym.get_system("LJ-13"), V1)
    np.testing.assert_allclose(energies[[0, 99]], [-11.873558, -13.420548], rtol=1e-5)


def test_nothing_was_trained_on_unseen_sizes():
    unseen = {f"LJ-{size}" for size in UNSEEN}
    for name in list_trained():
        header = read_header(name)
        used = {*header["systems"], *header.get("known_systems", ())}
        assert not unseen & (used | {*header.get("evaluation", ())}), name


@pytest.mark.parametrize("name", ["LJ-7", "Morse6-7", "Gupta-Ag3Au4", "SW-Si8"])
def test_second_formulas(name):
    with jax.enable_x64(True):
        system = hopgym.get_system(name)
        positions = system.sample(jax.random.key(7))
        energy = float(system.energy_and_gradient(positions)[0])
        assert compute_energy(system, np.asarray(positions)) == pytest.approx(
            energy, rel=1e-10
        )


# From Python


def test_evaluation(tmp_path):
    lines = []
    table = hopgym.evaluate(
        {"slow": GradientDescent(1e-4), "fast": "gd"},
        systems="LJ-4",
        starts=3,
        steps=20,
        progress=lines.append,
    )
    assert [cell["optimizer"] for cell in table.cells] == ["slow", "fast"]
    assert lines[0].startswith("LJ-4  slow  min ") and len(lines) == 2
    assert "LJ-4: 3 starts x 20 steps" in str(table)
    assert "**LJ-4**" in table._repr_markdown_()
    assert table.to_csv().splitlines()[1].startswith("LJ-4,slow,3,20,")


@pytest.mark.parametrize(
    "optimizers, options, message",
    [
        ([], {}, "at least one optimizer"),
        (["gd", "gd"], {}, "different names"),
        ("gdd", {}, "unknown optimizer 'gdd'"),
        (3, {}, "int is neither an optimizer nor"),
        ("gd", {"suite": "v9"}, "unknown suite 'v9'"),
        ("gd", {"systems": "LJ-1"}, "LJ-1"),
        ("gd", {"systems": []}, "no systems"),
        ("gd", {"starts": 0}, "starts must be an integer"),
    ],
)
def test_bad_evaluations(optimizers, options, message):
    with pytest.raises(ValueError, match=message):
        hopgym.evaluate(optimizers, **{"systems": "LJ-4", **options})


# The committed entries

COMMITTED = Path(__file__).parents[1] / "benchmarks" / "entries"
SHIPPED = sorted(Path(hopgym.__file__).parent.glob("data/leaderboard/*.json"))


def test_committed_entries_are_the_shipped_ones():
    assert [path.stem for path in SHIPPED] == sorted(
        p.name for p in COMMITTED.iterdir()
    )
    for path in SHIPPED:
        verified, folder = read(path), COMMITTED / path.stem
        paths = {name: locate_structures(folder, name) for name in verified.systems}
        assert read_entry_header(folder) == verified.header
        assert (
            hash_files({"entry.toml": folder / "entry.toml", **paths}) == verified.files
        )
        assert {*paths} == {one.stem for one in folder.glob("structures/*")}


@pytest.mark.optimised
def test_committed_entries_are_verified_again():
    """The first one, on a system."""
    path, name = SHIPPED[0], "LJ-58"
    system = V1.get_system(name)
    rows = load(locate_structures(COMMITTED / path.stem, name), system, V1)
    found, known = verify.verify_system(system, V1, rows), read(path).systems[name]
    np.testing.assert_array_equal(found.evaluations, known.evaluations)
    np.testing.assert_array_equal(found.steps, known.steps)
    np.testing.assert_allclose(found.energies, known.energies, atol=2e-6)


def test_the_page_is_that_of_the_shipped_entries(tmp_path, capsys):
    assert leaderboard.main(["--suite", "v1", "--out", str(tmp_path)]) == 0
    docs = Path(__file__).parents[1] / "docs"
    page = (tmp_path / leaderboard.PAGE).read_text()
    assert page == (docs / leaderboard.PAGE).read_text()
