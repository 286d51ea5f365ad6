"""Sweeps over the sizes of Lennard-Jones clusters."""

import argparse

import jax
import numpy as np
import pytest
from benchmark_runs import read_csv, read_results
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle

from benchmarks import sweep, sweep_figure


def main(out, *arguments):
    """The exit code of a sweep in this process."""
    jax.devices()  # the command asks for more devices where none are in use yet
    return sweep.main([*map(str, arguments), "--out", str(out)])


def make_cell(atoms, optimizer, hits):
    return {
        "system": f"LJ-{atoms}",
        "optimizer": optimizer,
        "starts": 10,
        "steps": 500,
        "hits": hits,
        "evaluations_to_hit": 5000 / hits if hits else None,
    }


def test_whole_sweep(tmp_path, capsys):
    arguments = ["--optimizers", "lbfgs", "--sizes", "4-5", "--starts", 3]
    assert main(tmp_path, *arguments, "--steps", 60) == 0
    printed = capsys.readouterr()
    assert "lbfgs: 2 of 2 sizes found, in 6 of 6 starts; missed: none" in printed.out
    assert "[2/2] LJ-5  lbfgs  min -9.104" in printed.err
    found = read_results(tmp_path)
    assert "sweep.py --optimizers lbfgs" in found["meta"]["command"]
    assert [cell["system"] for cell in found["cells"]] == ["LJ-4", "LJ-5"]
    assert all(cell["protocol"] == 2 for cell in found["cells"])
    assert read_csv(tmp_path, "hits") == ["3", "3"]
    picture = tmp_path / sweep.FIGURE
    assert picture.stat().st_size > 5000
    picture.unlink()
    assert main(tmp_path, *arguments, "--steps", 60) == 0
    assert capsys.readouterr().err.count("finished before") == 2
    assert picture.exists()


def test_figure_shows_hits_and_misses():
    cells = [
        *(make_cell(75, "a", 10), make_cell(75, "b", 5), make_cell(98, "a", 1)),
        make_cell(98, "b", 0),
    ]
    rows, dots = sweep_figure.draw(cells).axes
    assert [label.get_text() for label in rows.get_yticklabels()] == ["a", "b"]
    bars = [bar for bar in rows.patches if isinstance(bar, Rectangle)]
    centres = [(bar.get_x() + bar.get_width() / 2) for bar in bars]
    np.testing.assert_allclose(centres, [75, 98, 75])
    strength = [to_rgba(bar.get_facecolor())[3] for bar in bars]
    assert strength[0] == 1 and strength[1] < strength[2] < 1
    misses = [np.asarray(line.get_xydata()).tolist() for line in rows.lines]
    assert misses == [[], [[98, 1]]]
    assert dots.get_yscale() == "log"
    points = [np.asarray(line.get_xydata()).tolist() for line in dots.lines[:2]]
    assert points == [[[75, 500], [98, 5000]], [[75, 1000]]]
    summary = sweep.format_summary(cells).splitlines()
    assert summary[0] == "a: 2 of 2 sizes found, in 11 of 20 starts; missed: none"
    assert summary[1] == "b: 1 of 2 sizes found, in 5 of 20 starts; missed: 98"


def test_sizes():
    assert sweep.parse_sizes("13, 3-5,4") == [13, 3, 4, 5]
    assert sweep.make_parser().parse_args([]).sizes == list(range(2, 151))
    for text in ("1", "2-151", "5-3", "LJ-38", "3-4-5", "-"):
        with pytest.raises(argparse.ArgumentTypeError):
            sweep.parse_sizes(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sizes", "2-151"], "--sizes: must be between 2 and 150, got 151"),
        (["--sizes", ","], "no systems to run"),
        (["--optimizers", "gdd"], "unknown optimizer 'gdd'; did you mean 'gd'"),
        (["--starts", "0"], "--starts: must be between 1"),
    ],
)
def test_bad_input(tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as stopped:
        main(tmp_path / "out", "--optimizers", "gd", *arguments)
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()
