"""The results folder: what is kept, resumed and reported."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from benchmark_runs import (
    BENCHMARKS,
    TINY,
    main,
    only_cell_file,
    read_csv,
    read_results,
    write_plugin,
)

from benchmarks.store import Store, format_stem
from hopgym.evaluation.columns import COLUMNS, ESSENTIAL


@pytest.fixture
def plugin(tmp_path):
    return write_plugin(tmp_path)


def write_results(folder, head, cells):
    """A `results.jsonl` alone in its folder."""
    lines = [json.dumps(line) + "\n" for line in (head, *cells)]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "results.jsonl").write_text("".join(lines))


def test_finished_cells_are_kept(tmp_path, capsys):
    arguments = [*TINY, "--out", tmp_path]
    assert main(*arguments) == 0
    before = only_cell_file(tmp_path).read_bytes()
    assert [json.loads(before)] == read_results(tmp_path)["cells"]
    figure = (tmp_path / "curves-LJ-4.png").stat().st_mtime_ns
    capsys.readouterr()

    assert main(*arguments) == 0
    assert "finished before" in capsys.readouterr().err
    assert only_cell_file(tmp_path).read_bytes() == before
    assert (tmp_path / "curves-LJ-4.png").stat().st_mtime_ns > figure

    assert main(*arguments, "--fresh") == 0
    assert "finished before" not in capsys.readouterr().err
    after = only_cell_file(tmp_path).read_bytes()
    assert after != before
    assert [json.loads(after)] == read_results(tmp_path)["cells"]


def test_cells_of_other_settings_stay(tmp_path, capsys):
    assert main(*TINY, "--out", tmp_path) == 0
    assert main(*TINY, "--seed", "1", "--out", tmp_path) == 0
    assert read_csv(tmp_path, "seed") == ["1"]
    assert [cell["seed"] for cell in read_results(tmp_path)["cells"]] == [0, 1]
    assert read_results(tmp_path)["meta"]["seed"] == 1
    assert len(list((tmp_path / "cells").iterdir())) == 2
    capsys.readouterr()
    record = (tmp_path / "results.jsonl").read_bytes()

    assert main("--report", tmp_path, "--markdown") == 0
    table = capsys.readouterr().out
    assert "| optimizer | min |" in table
    assert "seed 0" in table and "seed 1" in table
    assert read_csv(tmp_path, "seed") == ["0", "1"]
    assert main("--report", tmp_path, "--seed", "1") == 0
    assert "seed 0" not in capsys.readouterr().out
    assert read_csv(tmp_path, "seed") == ["1"]
    assert (tmp_path / "results.jsonl").read_bytes() == record


def test_the_record_alone_is_resumed(tmp_path, capsys):
    """As in a fresh clone, where `cells` is not there."""
    arguments = [*TINY, "--out", tmp_path]
    assert main(*arguments) == 0
    before = read_results(tmp_path)
    shutil.rmtree(tmp_path / "cells")
    capsys.readouterr()
    assert main("--report", tmp_path) == 0
    assert not (tmp_path / "cells").exists()
    assert main(*arguments, "--seed", "1") == 0
    assert main(*arguments) == 0
    assert "finished before" in capsys.readouterr().err
    assert read_results(tmp_path)["cells"][1:] == before["cells"]
    assert [cell["seed"] for cell in read_results(tmp_path)["cells"]] == [1, 0]


def test_cells_of_an_unfinished_command_are_reported(tmp_path, capsys):
    assert main(*TINY, "--out", tmp_path) == 0
    (tmp_path / "results.jsonl").unlink()
    capsys.readouterr()
    assert main("--report", tmp_path) == 0
    assert "gd " in capsys.readouterr().out
    assert not (tmp_path / "results.jsonl").exists()


def test_a_new_column_invalidates_nothing(tmp_path, capsys):
    """Cells without a column that is not essential are read, reported and resumed."""
    arguments = [*TINY, "--out", tmp_path]
    assert main(*arguments) == 0
    found = read_results(tmp_path)
    head, (cell,) = {"meta": found["meta"]}, found["cells"]
    optional = [c.name for c in COLUMNS if c.name not in (*ESSENTIAL, "key")]
    assert {*optional} - {"grid"} <= cell.keys()  # what only tune.py writes
    for absent in (["mean"], ["curve"], ["faults"], optional):
        old = {name: value for name, value in cell.items() if name not in absent}
        write_results(tmp_path, head, [old])
        capsys.readouterr()
        assert main("--report", tmp_path) == 0
        printed = capsys.readouterr()
        assert "left out" not in printed.err and "\ngd " in printed.out
        assert main(*arguments) == 0
        assert "finished before" in capsys.readouterr().err
        assert read_results(tmp_path)["cells"] == [old]
        for name in absent:
            if name not in ("curve", "mean_error", "settings") and name in cell:
                column = next(column for column in COLUMNS if column.name == name)
                assert not column.in_csv or read_csv(tmp_path, name) == [""]


def test_damaged_lines_are_left_out(tmp_path, capsys):
    assert main(*TINY, "--out", tmp_path) == 0
    found = read_results(tmp_path)
    head, (cell,) = {"meta": found["meta"]}, found["cells"]
    keyless = {name: value for name, value in cell.items() if name != "key"}
    short = {**cell, "energies": cell["energies"][1:]}
    write_results(tmp_path, head, [keyless, short, 3, cell])
    with (tmp_path / "results.jsonl").open("ab") as stream:
        stream.write(b'{"sys\n\xff\x00\n')
    for arguments in (["--report", tmp_path], [*TINY, "--out", tmp_path]):
        capsys.readouterr()
        assert main(*arguments) == 0
        said = capsys.readouterr().err.splitlines()
        assert [line for line in said if line.startswith("line")] == [
            "line 2 of results.jsonl is incomplete: left out",
            "line 3 of results.jsonl is incomplete: left out",
            "line 4 of results.jsonl is broken: left out",
            "line 6 of results.jsonl is broken: left out",
            "line 7 of results.jsonl is broken: left out",
        ]
    assert read_results(tmp_path)["cells"] == [cell]


def test_broken_cell_is_run_again(tmp_path, capsys):
    arguments = [*TINY, "--out", tmp_path]
    assert main(*arguments) == 0
    path = only_cell_file(tmp_path)
    path.write_bytes(path.read_bytes()[:200])
    capsys.readouterr()
    assert main(*arguments) == 0
    notice = capsys.readouterr().err
    assert path.name in notice and "run again" in notice
    assert json.loads(path.read_text())["system"] == "LJ-4"


@pytest.mark.parametrize("content", [b"", b'{"sy', b"{}", b"[1]", b"3", b"\xff\x00"])
def test_broken_cell_is_noticed(tmp_path, content):
    store = Store(tmp_path)
    key = dict.fromkeys(("system", "optimizer", "starts", "steps", "seed"), 1)
    key = {name: str(value) for name, value in key.items()} | {"dtype": "float32"}
    store.cells.mkdir()
    (store.cells / f"{format_stem(key)}.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"is (broken|incomplete)"):
        store.load(key)
    assert len(store.load_all()[1]) == 1


def test_time_limit(tmp_path, capsys):
    arguments = [*TINY, "--out", tmp_path]
    assert main(*arguments, "--time-limit", "1e-9") == 1
    assert "time limit reached, 1 cells left" in capsys.readouterr().err
    assert main(*arguments) == 0


# Tests in the background of a script inherit Ctrl-C as ignored, and so would their
# children: a Python that hears it, and becomes the command.
HEAR_INTERRUPTS = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_interrupt_and_resume(plugin, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = [*TINY, "--out", str(out)]
    running = subprocess.Popen(
        [
            *(sys.executable, "-c", HEAR_INTERRUPTS),
            *(str(BENCHMARKS / "run.py"), *arguments),
            *("--optimizer", f"{plugin}:Endless"),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while running.poll() is None and not list(out.glob("cells/*.json")):
            time.sleep(0.1)
        time.sleep(1)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    finally:
        running.kill()
        running.wait()
    assert running.returncode == 130
    finished, interrupted = [line for line in said.splitlines() if line]
    assert finished.startswith("[1/2] LJ-4  gd  min")
    assert interrupted.startswith("interrupted: 1 of 2 cells are kept")
    assert main(*arguments) == 0
    assert "finished before" in capsys.readouterr().err
