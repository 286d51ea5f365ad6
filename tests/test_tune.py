"""Tuning: the best of a grid is what is stored."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def tune(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import tune

    monkeypatch.setattr(tune.jax.config, "update", lambda *_: None)
    monkeypatch.setattr(tune, "TUNED", tmp_path / "tuned.json")
    grid = [{"rate": 0.0}, {"rate": 1e-3}, {"rate": 1e-2}]
    monkeypatch.setattr(tune, "GRIDS", {"gd": grid})
    tune.TUNED.write_text('{"about": "", "settings": {"adam": {"LJ": {}}}}')
    return tune


def arguments(tmp_path, *more):
    out = ["--out", str(tmp_path / "out"), "--starts", "3", "--steps", "300"]
    return ["--systems", "LJ-9,LJ-10", *out, *more]


def test_the_best_is_stored_for_systems_and_families(tune, tmp_path, capsys):
    assert tune.main(arguments(tmp_path, "--write")) == 0
    summary = json.loads((tmp_path / "out" / "tuning.json").read_text())
    points = summary["points"]
    assert len(points) == 6
    best = {}
    for system in ("LJ-9", "LJ-10"):
        own = [point for point in points if point["system"] == system]
        assert len({point["mean"] for point in own}) > 1
        best[system] = min(own, key=lambda point: point["mean"])["grid"]
    assert json.loads(tune.TUNED.read_text())["settings"] == {
        "adam": {"LJ": {}},
        "gd": {**best, "LJ": best["LJ-10"]},
    }
    # A second run computes nothing and says the same.
    printed = capsys.readouterr().out
    monkey = tune.run_cell.run
    tune.run_cell.run = None
    try:
        assert tune.main(arguments(tmp_path)) == 0
    finally:
        tune.run_cell.run = monkey
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--optimizers", "adma"], "no grid for 'adma'"),
        (["--systems", "LJ-1"], "LJ-1"),
        (["--starts", "0"], "must be between"),
    ],
)
def test_nonsense_is_refused(tune, tmp_path, capsys, wrong, message):
    with pytest.raises(SystemExit) as stopped:
        tune.main([*arguments(tmp_path), *wrong])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
