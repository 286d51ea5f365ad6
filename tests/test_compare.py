"""Comparisons of optimizers over systems."""

from pathlib import Path

import numpy as np
import pytest
from benchmark_cells import make_cell

from benchmarks import compare
from benchmarks.store import read_record

YARDSTICK = Path(__file__).parents[1] / "benchmarks/results/yardstick"


def test_evaluations_per_hit_are_those_of_the_columns():
    cells, _ = read_record(YARDSTICK)
    known = [cell for cell in cells if cell["hits"]]
    assert len(known) > 20
    for cell in known:
        found = compare.log_evaluations_per_hit(
            np.asarray(cell["first_hit"]), cell["steps"] + 1
        )
        assert np.exp(found) == pytest.approx(cell["evaluations_to_hit"], abs=1)


def test_without_a_hit_half_a_one_counts():
    found = compare.log_evaluations_per_hit(np.full(10, -1), 1001)
    assert np.exp(found) == pytest.approx(20_020)


def test_the_standard_error_is_that_of_repeated_experiments():
    """With exponential times, cut off at the budget: 1 / sqrt(hits)."""
    generator = np.random.default_rng(1)
    times = np.ceil(generator.exponential(800, (300, 100)))
    first_hit = np.where(times <= 1001, times, -1)
    logs = compare.log_evaluations_per_hit(first_hit, 1001)
    found = [
        compare.resample(make_cell("a", "LJ-5", row), generator)[1]
        for row in first_hit[:10]
    ]
    assert np.mean(found) == pytest.approx(np.std(logs), rel=0.15)
    hits = (first_hit > 0).sum(axis=1).mean()
    assert np.mean(found) == pytest.approx(1 / np.sqrt(hits), rel=0.15)


def test_table():
    first = np.array([100, 200, -1, 300])
    cells = [
        make_cell("slow", "LJ-5", first * 2),
        make_cell("slow", "LJ-6", first),
        make_cell("fast", "LJ-6", first),
        make_cell("fast", "LJ-5", first),
        make_cell("fast", "LJ-7", first),
        make_cell("fast", "Gupta-Au55-table4", first, hits=None),
    ]
    lines = compare.compare(cells, "slow").split("\n")
    assert lines[0].startswith("| optimizer | LJ-5 | LJ-6 | evaluations per hit")
    assert lines[2].startswith("| `fast` | 3/4 | 3/4 | 534 [")
    # 1601 and 2201 evaluations: half the logarithm of their ratio.
    assert f"| {np.log(1601 / 2201) / 2:+.2f} ±" in lines[2]
    assert lines[3].startswith("| `slow` ") and lines[3].endswith("|  |")
    only = compare.compare(cells, systems=["LJ-6"]).split("\n")
    assert "LJ-5" not in only[0] and "ratio" not in only[0]


@pytest.mark.parametrize(
    "words, message",
    [
        (["--against", "bh-lbfg"], "did you mean 'bh-lbfgs'"),
        (["--systems", "LJ-99"], "unknown system"),
    ],
)
def test_bad_input(words, message, capsys):
    with pytest.raises(SystemExit) as stop:
        compare.main([str(YARDSTICK), *words])
    assert stop.value.code == 2 and message in capsys.readouterr().err


def test_a_folder_without_results(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        compare.main([str(tmp_path)])
    assert stop.value.code == 2 and "no results" in capsys.readouterr().err


def test_other_budgets_are_refused():
    cells = [make_cell("a", "LJ-5", [1, 2]), make_cell("b", "LJ-5", [1], steps=10)]
    with pytest.raises(ValueError, match="differ in steps or starts"):
        compare.compare(cells)
    with pytest.raises(ValueError, match="no system"):
        compare.compare([make_cell("a", "LJ-5", [1]), make_cell("b", "LJ-6", [1])])


def test_the_command(capsys):
    words = [str(YARDSTICK), "--against", "bh-symmetric", "--systems", "LJ-38,LJ-75"]
    assert compare.main(words) == 0
    assert capsys.readouterr().out.split("\n")[2].startswith("| `bh-symmetric` |")
