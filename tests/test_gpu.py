"""The measurement of a device, at its smallest and on this one."""

import json

import jax
import pytest

from benchmarks import gpu


def test_measurements_resume(tmp_path, capsys, monkeypatch):
    jax.devices()
    words = ["--quick", "--out", str(tmp_path)]
    assert gpu.main([*words, "--time-limit", "1e-9"]) == 1
    assert "time limit reached" in capsys.readouterr().err
    assert gpu.main(words) == 0
    assert "| LJ-13 | `bh-lbfgs` |" in capsys.readouterr().out
    rows = json.loads((tmp_path / "gpu.json").read_text())["rows"]
    assert [row["kind"] for row in rows].count("rollout") == 4 and len(rows) == 9
    for row in rows:
        assert "error" not in row
        if row["kind"] == "agreement":  # of the CPU with itself
            assert row["largest"] == 0
    monkeypatch.setattr(gpu, "measure", None)  # nothing is measured again
    assert gpu.main(words) == 0
    rows[0]["device"] = "another"
    (tmp_path / "gpu.json").write_text(json.dumps({"rows": rows}))
    with pytest.raises(SystemExit):
        gpu.main(words)
    assert "has measurements of another device" in capsys.readouterr().err


def test_a_failed_measurement_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    def fail(task, quick):
        raise MemoryError("too little")

    monkeypatch.setattr(gpu, "measure", fail)
    assert gpu.main(["--quick", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().out.count("MemoryError: too little") == 9
