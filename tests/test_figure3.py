"""The figure that compares strategies of meta-training."""

import json

import pytest

from benchmarks import figure3


def run(folder, name, losses):
    (folder / name).mkdir()
    lines = []
    for update, loss in enumerate(losses):
        cell = {"final_loss": loss, "hit_rate": -loss, "hits": int(-40 * loss)}
        cell["starts"] = 40
        lines.append({"update": 10 * update, "evaluation": {"LJ-13": cell}})
        lines.append({"update": 10 * update + 1, "loss": loss})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / name / "metrics.jsonl").write_text(text)


def test_means_over_seeds(tmp_path, capsys):
    run(tmp_path, "es-unbounded-0", [-0.8, -0.9])
    run(tmp_path, "ga-0", [-0.8, -1.0, -0.9])
    run(tmp_path, "ga-1", [-0.8, -0.9, -0.7])
    run(tmp_path, "other-0", [-0.8])
    assert figure3.main([str(tmp_path)]) == 0
    table = json.loads((tmp_path / "summary.json").read_text())
    assert list(table) == ["es-unbounded", "ga"]
    ga = table["ga"]
    assert (ga["seeds"], ga["updates"], ga["starts"]) == (2, 20, 40)
    assert ga["final_loss"] == pytest.approx(-0.8)
    assert ga["spread"] == pytest.approx(0.1414)
    assert ga["lowest_loss"] == pytest.approx(-0.95)
    assert ga["most_hits"] == {"0": 40, "1": 36}
    assert table["es-unbounded"]["spread"] is None
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    assert "GA" in capsys.readouterr().out


def test_nothing_to_draw(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        figure3.main([str(tmp_path)])
    assert stopped.value.code == 2
    assert "has no runs" in capsys.readouterr().err
    run(tmp_path, "ga-0", [-0.8])
    with (tmp_path / "ga-0" / "metrics.jsonl").open("a") as stream:
        stream.write('{"update": 1')
    with pytest.raises(SystemExit):
        figure3.main([str(tmp_path)])
    assert "is damaged" in capsys.readouterr().err
    assert not (tmp_path / "figure.png").exists()
