"""Tuning: the best of a grid is what is stored."""

import json
from pathlib import Path

import pytest
from benchmark_runs import read_results

from benchmarks import tune
from benchmarks.store import read_sound_record
from hopgym.evaluation import run_cell

TUNED = tune.TUNED  # before a test changes it


@pytest.fixture(autouse=True)
def tuned(monkeypatch, tmp_path):
    """The file that the zoo reads, another one here; and a small grid."""
    path = tmp_path / "tuned.json"
    path.write_text('{"about": "", "settings": {"adam": {"LJ": {}}}}')
    monkeypatch.setattr(tune, "use_all_cores", lambda: None)
    monkeypatch.setattr(tune, "TUNED", path)
    grid = [{"rate": 0.0}, {"rate": 1e-2}]  # the best of LJ-9, and of LJ-10
    monkeypatch.setattr(tune, "GRIDS", {"gd": grid})
    return path


def arguments(tmp_path, *more):
    out = ["--out", str(tmp_path / "out"), "--starts", "3", "--steps", "300"]
    return ["--systems", "LJ-9,LJ-10", *out, *more]


def test_the_best_is_stored_for_systems_and_families(
    tuned, tmp_path, capsys, monkeypatch
):
    assert tune.main(arguments(tmp_path, "--write")) == 0
    points = read_results(tmp_path / "out")["cells"]
    assert len(points) == 4
    assert points[1]["optimizer"] == "gd(rate=0.01)"
    best = {}
    for system in ("LJ-9", "LJ-10"):
        own = [point for point in points if point["system"] == system]
        assert len({point["mean"] for point in own}) > 1
        best[system] = min(own, key=lambda point: point["mean"])["grid"]
    assert json.loads(tuned.read_text())["settings"] == {
        "adam": {"LJ": {}},
        "gd": {**best, "LJ": best["LJ-10"]},
    }
    # A second run computes nothing and says the same.
    printed = capsys.readouterr().out
    monkeypatch.setattr(run_cell, "run", None)
    assert tune.main(arguments(tmp_path)) == 0
    assert capsys.readouterr().out == printed


def test_what_explodes_is_not_the_best():
    def point(optimizer, mean, final_mean):
        where = {"optimizer": optimizer, "system": "LJ-75"}
        return {**where, "mean": mean, "final_mean": final_mean}

    points = [point("fire(1)", -379, -6), point("fire(2)", -378, -377)]
    points += [point("adam(1)", -370, -1), point("adam(2)", -371, -1)]
    best = tune.choose_best(points)
    assert best["fire", "LJ-75"] is points[1] and best["adam", "LJ-75"] is points[3]
    # The committed settings are those of the committed grids.
    committed = read_sound_record(Path(tune.__file__).parent / "results" / "tuning")
    stored = json.loads(TUNED.read_text())["settings"]["fire"]
    for (name, system), own in tune.choose_best(committed).items():
        if name == "fire":
            assert stored[system] == own["grid"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--optimizers", "adma"], "no grid for 'adma'"),
        (["--systems", "LJ-1"], "LJ-1"),
        (["--starts", "0"], "must be between"),
    ],
)
def test_bad_input(tmp_path, capsys, wrong, message):
    with pytest.raises(SystemExit) as stopped:
        tune.main([*arguments(tmp_path), *wrong])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
