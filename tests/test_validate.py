"""Choosing between trained optimizers."""

import json

import pytest

from benchmarks import validate


def test_a_line_for_each_optimizer_and_system(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(validate.PLAN, "LJ-4", (3, 200))
    out = tmp_path / "lines.jsonl"
    names = ["learn2hop-lj13-esmc", "learn2hop-lj13-ga"]
    assert validate.main([*names, "--systems", "LJ-4", "--out", str(out)]) == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["optimizer"] for line in lines] == names
    for line in lines:
        assert line["reference"] == -6 and line["tolerance"] == 1e-3
        assert line["min"] == pytest.approx(-6, abs=1e-3)
        assert line["min"] <= line["mean"] and line["hits"] <= line["starts"] == 3
    assert capsys.readouterr().out.count("LJ-4") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["learn2hop-lj13-esmc", "--systems", "LJ13"], "unknown system 'LJ13'"),
        (["learn2hop-lj14"], "learn2hop-lj14"),
        (["nowhere.eqx"], "there is no file nowhere.eqx"),
        ([], "required: optimizers"),
    ],
)
def test_bad_input(arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        validate.main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
