"""Entries to a suite: their files, verification and ranks."""

import dataclasses
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest

import hopgym
from hopgym.suites import SUITES, Suite, enter, leaderboard, verify
from hopgym.suites.entry import locate_structures
from hopgym.suites.score import compute_ratios, compute_score, find_hits
from hopgym.suites.structures import load, save
from hopgym.suites.verified import read
from hopgym.systems import registry

HEADER = ("--author", "A. Nother", "--author", "B. Other")
HEADER += ("--tuning", "by hand, on LJ-4")
TINY = Suite("tiny", ("LJ-4",), ("LJ-5", "Test-LJ-6", "SW-Si8"), (250, 500), 6)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """A suite of seconds, and a system with a reference energy that is too high."""
    monkeypatch.setitem(SUITES, "tiny", TINY)
    monkeypatch.setitem(registry._registered, "Test-LJ-6", make_high_reference)
    jax.devices()  # commands ask for more devices where none are in use yet


def make_high_reference():
    return dataclasses.replace(
        hopgym.get_system("LJ-6"), name="Test-LJ-6", reference=-12.0
    )


def make(folder, *options, optimizer="bh-lbfgs"):
    words = (optimizer, "--ruleset", "tuned", *HEADER, "--suite", "tiny")
    return enter.main([*words, "--out", str(folder), *options])


def fail(capsys, main, *arguments):
    """The message of a command that must fail."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    return message.splitlines()[-1]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """An entry, made once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SUITES, "tiny", TINY)
        patch.setitem(registry._registered, "Test-LJ-6", make_high_reference)
        folder = tmp_path_factory.mktemp("entries") / "entry"
        jax.devices()
        assert make(folder) == 0
    return folder


@pytest.fixture
def entry(original, tmp_path):
    """A copy of it that a test may damage."""
    folder = tmp_path / "entry"
    (folder / "structures").mkdir(parents=True)
    for path in original.rglob("*.*"):
        if path.suffix in (".toml", ".npz"):
            (folder / path.relative_to(original)).write_bytes(path.read_bytes())
    return folder


def change(folder, system, **arrays):
    """Replace arrays of a file of structures by functions of them."""
    path = locate_structures(folder, system)
    with np.load(path) as content:
        found = {name: content[name] for name in content.files}
    np.savez(path, **found | {name: f(found[name]) for name, f in arrays.items()})


# From an optimizer to the leaderboard


def test_entry_is_verified_and_ranked(entry, tmp_path, capsys):
    assert make(entry) == 0
    said = capsys.readouterr().err
    assert said.count("done before") == 3 and "missing" not in said
    assert verify.main([str(entry)]) == 0
    said = capsys.readouterr().err
    assert "DISCOVERY: -12.712062 is lower than the lowest known energy" in said
    found = read(entry / "verified.json")
    assert found.header.authors == ["A. Nother", "B. Other"] and found.is_complete
    # The same hits as those of the benchmark.
    cells = hopgym.evaluate(
        "bh-lbfgs", "tiny", systems="test", starts=6, steps=500, progress=None
    ).cells
    for cell in cells:
        own = found.systems[cell["system"]]
        assert own.evaluations.tolist() == cell["first_hit"]
        assert own.unconfirmed == own.unsound == 0
        np.testing.assert_allclose(own.energies[:, -1].min(), cell["min"], atol=1e-4)
    assert found.systems["LJ-5"].steps.tolist() == [250] * 6
    assert (
        leaderboard.main([str(entry), "--suite", "tiny", "--out", str(tmp_path)]) == 0
    )
    printed = capsys.readouterr().out
    assert "| 1 | bh-lbfgs | A. Nother, B. Other | tuned |" in printed
    page = (tmp_path / leaderboard.PAGE).read_text()
    assert printed.strip() in page and "by hand, on LJ-4." in page
    assert "Found -12.712062 on Test-LJ-6, below the lowest energy known." in page
    assert (tmp_path / leaderboard.PICTURE).stat().st_size > 5000


def test_partial_entries_have_no_rank(tmp_path, capsys):
    folder = tmp_path / "entry"
    assert make(folder, "--systems", "LJ-5", "--name", "mine|*") == 0
    assert "2 of 3 test systems are missing" in capsys.readouterr().err
    assert verify.main([str(folder)]) == 0
    assert leaderboard.main([str(folder), "--suite", "tiny"]) == 0
    assert r"| - | mine\|\* |" in capsys.readouterr().out
    # It changes when it is completed.
    assert make(folder, "--name", "mine|*") == 0
    assert "has changed since it was verified" in fail(
        capsys, leaderboard.main, folder, "--suite", "tiny"
    )


def test_archives(entry, tmp_path, capsys):
    path = tmp_path / "entry.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for part in entry.rglob("*"):
            archive.write(part, f"entry/{part.relative_to(entry)}")
    assert verify.main([str(path)]) == 0
    out = path.with_suffix(".json")
    assert leaderboard.main([str(out), "--suite", "tiny"]) == 0
    for name in ("../x", "/x", "a/../../x", "..\\x", "C:\\x"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, "x")
        assert "would be unpacked outside" in fail(capsys, verify.main, path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", "x")
    assert "must have one entry.toml, and has 0" in fail(capsys, verify.main, path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("entry.toml", "x" * 1000)
    content = bytearray(path.read_bytes())
    content[45] ^= 255
    path.write_bytes(content)
    assert "cannot be unpacked" in fail(capsys, verify.main, path)
    path.write_text("no archive")
    assert "neither the folder of an entry nor" in fail(capsys, verify.main, path)


def test_a_time_limit_stops_and_the_command_resumes(tmp_path, capsys):
    assert make(tmp_path / "entry", "--time-limit", "1e-9") == 1
    assert "time limit reached: the same command resumes" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["enter", "verify"])
def test_files_of_the_benchmark_are_the_same_commands(name, tmp_path):
    file = Path(__file__).parents[1] / "benchmarks" / f"{name}.py"
    run = subprocess.run(
        [sys.executable, str(file), "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0 and f"usage: {name}.py" in run.stdout


# Bad input


def test_bad_options(entry, tmp_path, capsys):
    words = ("adam", "--ruleset", "tuned", *HEADER, "--suite", "tiny", "--out")
    assert "is another entry: optimizer 'adam' instead of 'bh-lbfgs'" in fail(
        capsys, enter.main, *words, entry
    )
    assert "the name of the entry must be one line" in fail(
        capsys, enter.main, *words, tmp_path / "new", "--name", "a $ b"
    )
    own = tmp_path / "own"
    own.mkdir()
    (own / "file").touch()
    assert "has other files" in fail(capsys, enter.main, *words, own)
    new = tmp_path / "new"
    assert "unknown test system 'LJ-4'" in fail(
        capsys, enter.main, *words, new, "--systems", "LJ-4"
    )
    nothing = ("adam", "--ruleset", "tuned", "--author", "A", "--tuning", " ")
    assert "has no tuning" in fail(capsys, enter.main, *nothing, "--out", new)
    assert "unknown optimizer 'adm'" in fail(capsys, enter.main, "adm", *words[1:], new)
    assert not new.exists()
    assert "is not verified" in fail(capsys, leaderboard.main, entry, "--suite", "tiny")
    assert "unknown system of the entry 'LJ-4'" in fail(
        capsys, verify.main, entry, "--systems", "LJ-4"
    )


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"positions": lambda x: x.astype(float) * np.nan}, "must have shape"),
        ({"start_energies": lambda x: x * np.nan}, "start_energies must be finite"),
        ({"positions": lambda x: x[:, :4]}, "positions must have shape (6, 5, 3)"),
        ({"start_energies": lambda x: x + 1}, "these are other starts"),
        ({"spent": lambda x: x + 1}, "spent 502 evaluations"),
        ({"evaluations": lambda x: x + 6000}, "start 0 has a hit after more"),
        ({"step": lambda x: 0 * x + 500, "evaluations": lambda x: 0 * x + 1}, "before"),
        ({"step": lambda x: x.astype("m8[s]")}, "step must have shape"),
        ({"spacing": lambda x: x[0]}, "spacing must have shape (6,)"),
        ({"step": lambda x: x + 1}, "start 0 has a structure at a step that is no"),
        ({"step": lambda x: x + 500}, "start 0 has a structure at a step that is no"),
        ({"start": lambda x: x + 1}, "start 6 is none of the 6"),
        ({"start": lambda x: np.maximum(x, 1)}, "start 0 has no structure"),
        ({"start": lambda x: x[::-1]}, "not in the order"),
        ({"spacing": lambda x: x * 1000}, "must be positive and at most 0.01"),
        ({"spacing": lambda x: -x}, "must be positive and at most 0.01"),
    ],
)
def test_bad_structures(entry, arrays, message, capsys):
    change(entry, "LJ-5", **arrays)
    assert message in fail(capsys, verify.main, entry)
    assert not (entry / "verified.json").exists()


def test_damaged_files(entry, capsys):
    path = locate_structures(entry, "LJ-5")
    path.write_bytes(path.read_bytes()[:300])
    assert "is no file of structures" in fail(capsys, verify.main, entry)
    assert make(entry) == 1
    assert "is damaged: remove it" in capsys.readouterr().err
    np.savez(path, start=np.zeros(10**6))
    assert "those of an entry" in fail(capsys, verify.main, entry)
    path.rename(path.with_name("LJ-4.npz"))
    assert "LJ-4, which is no test system" in fail(capsys, verify.main, entry)
    header = (entry / "entry.toml").read_text()
    for old, new, message in (
        ("format = 1", "format = 2", "has format 2"),
        ('"tiny"', '"v9"', "unknown suite 'v9'"),
        ('"tuned"', '"free"', "ruleset must be one of"),
        ("name = ", "name : ", "is damaged"),
        ("by hand", r"\u0007", "must be printable"),
    ):
        (entry / "entry.toml").write_text(header.replace(old, new))
        assert message in fail(capsys, verify.main, entry)
    (entry / "entry.toml").unlink()
    assert "is no entry" in fail(capsys, verify.main, entry)


def test_claims_that_are_not_confirmed(entry, capsys):
    def spread(positions):
        """One atom is far away in starts 0 and 1."""
        changed = positions // 20
        changed[:2, 0] = 32767
        return changed

    change(entry, "LJ-5", positions=spread, spacing=lambda x: 20 * x)
    found = load(locate_structures(entry, "LJ-5"), hopgym.get_system("LJ-5"), TINY)
    save(locate_structures(entry, "LJ-5"), found, hopgym.get_system("LJ-5"), "")
    assert verify.main([str(entry)]) == 0
    assert "4 of 6 starts hit, 2 claimed hits are not" in capsys.readouterr().err
    own = read(entry / "verified.json").systems["LJ-5"]
    assert own.steps.tolist()[:3] == [-1, -1, 250]
    assert own.unconfirmed == own.unsound == 2


def test_changes_after_verification(entry, capsys):
    assert verify.main([str(entry)]) == 0
    header = entry / "entry.toml"
    header.write_text(header.read_text().replace("by hand", "by foot"))
    assert "has changed since it was verified" in fail(
        capsys, leaderboard.main, entry, "--suite", "tiny"
    )
    assert "is an entry of suite tiny, not of v1" in fail(
        capsys, leaderboard.main, entry / "verified.json", "--suite", "v1"
    )
    path = entry / "verified.json"
    content = json.loads(path.read_text())
    content["files"]["entry.toml"] = "0"
    other = entry / "other.json"
    other.write_text(json.dumps(content))
    assert "has the name of another entry" in fail(
        capsys, leaderboard.main, path, other, "--suite", "tiny"
    )
    other.write_text(json.dumps({**content, "systems": {}}))
    assert "or no systems" in fail(capsys, leaderboard.main, other, "--suite", "tiny")
    content = json.loads(path.read_text())
    content["systems"]["LJ-5"]["steps"].pop()
    path.write_text(json.dumps(content))
    assert "has not 6 starts" in fail(capsys, leaderboard.main, path, "--suite", "tiny")
    path.write_text("{")
    assert "is damaged" in fail(capsys, leaderboard.main, path, "--suite", "tiny")


# Numbers


def test_scores(entry):
    assert verify.main([str(entry)]) == 0
    verified = read(entry / "verified.json")
    template = verified.systems["LJ-5"]

    def replace(steps, evaluations, energy):
        found = dataclasses.replace(
            template,
            steps=np.array(steps),
            evaluations=np.array(evaluations),
            energies=np.full((6, 2), energy),
        )
        return dataclasses.replace(verified, systems=dict.fromkeys(TINY.test, found))

    one = replace([250, 500, 500, -1, -1, -1], [100, 300, 501, -1, -1, -1], -9.0)
    assert find_hits(one.systems["LJ-5"], TINY).sum(axis=0).tolist() == [1, 3]
    score = compute_score(one)
    assert score.score == pytest.approx(100 * (1 / 6 + 3 / 6) / 2)
    assert score.rates == pytest.approx((100 / 6, 50))
    assert 0 < score.low < score.score < score.high < 100 and score.solved == 3
    cost = (100 + 300 + 501 + 3 * 501) / 3
    none = replace([-1] * 6, [-1] * 6, np.inf)
    assert compute_score(none).score == 0 and compute_score(none).gap == np.inf
    all_hit = replace([250] * 6, [60] * 6, -9.0)
    entries = []
    for name, found in (("one", one), ("none", none), ("all", all_hit)):
        header = dataclasses.replace(verified.header, name=name)
        entries.append(dataclasses.replace(found, header=header))
    ratios = compute_ratios(entries)
    assert ratios[0] == pytest.approx([cost / 60] * 3)
    assert ratios[2].tolist() == [1] * 3 and np.all(ratios[1] == np.inf)
    ranked = [one.header.name for one, _ in leaderboard.rank(entries)]
    assert ranked == ["all", "one", "none"]


def test_structures_fit_the_suite(entry):
    path = locate_structures(entry, "SW-Si8")
    found = load(path, hopgym.get_system("SW-Si8"), TINY)
    assert found.positions.shape[1:] == (8, 3)
    assert np.abs(found.positions).max() < 3
