"""The columns of the benchmark: statistics, tables, figures, the progress bar."""

import functools
import io
import json
import math
import re

import jax
import numpy as np
import optax
import pytest
from benchmark_runs import BENCHMARKS

from benchmarks import figures, summary
from hopgym._cli import progress
from hopgym.evaluation import columns, report, summarise
from hopgym.evaluation.describe import describe, digest
from hopgym.optimizers import GradientDescent

CELL = {
    "system": "LJ-13",
    "optimizer": "adam",
    "starts": 10,
    "steps": 100,
    "seed": 0,
    "dtype": "float32",
    "min": -44.4,
    "mean": -40.0,
    "mean_error": 0.1,
    "hits": 1,
    "hit_rate": 0.1,
    "hit_rate_low": 0.018,
    "hit_rate_high": 0.404,
    "evaluations_to_hit": 1010.0,
    "final_min": -44.3,
    "final_mean": 2.5e12,
    "seconds": 1.0,
    "faults": 0,
    "not_converged": 2,
    "reference": -44.3268,
    "reference_source": "somewhere",
    "tolerance": 1e-3,
}


@pytest.mark.parametrize(
    ("hits", "starts", "low", "high"),
    [
        (0, 10, 0.0, 0.27753),
        (5, 10, 0.23659, 0.76341),
        (10, 10, 0.72247, 1.0),
        (81, 263, 0.25525, 0.36620),  # Newcombe, Stat. Med. 17, 857 (1998), table I
        (15, 148, 0.06238, 0.16054),
        (1, 29, 0.00611, 0.17177),
    ],
)
def test_wilson(hits, starts, low, high):
    interval = summarise.wilson_interval(hits, starts)
    assert interval == pytest.approx((low, high), abs=1e-4)


def test_columns_by_hand():
    row = summarise.summarise(
        quenched=np.array([-10.0, -9.0, -10.0, -9.5]),
        polished=np.array([-9.9, -8.0, -9.8, -9.3]),
        evaluations=np.array([101, 101, 101, 101]),
        # Met during the search, by a quench after its end, and twice never.
        first_hit=np.array([20, -1, 130, -1]),
    )
    assert row["min"] == -10.0
    assert row["mean"] == -9.625
    deviation = math.sqrt((2 * 0.375**2 + 0.625**2 + 0.125**2) / 3)
    assert row["mean_error"] == pytest.approx(deviation / 2, abs=1e-6)
    assert row["final_min"] == -9.9
    assert row["final_mean"] == -9.25
    assert row["hits"] == 2
    assert row["hit_rate"] == 0.5
    assert row["evaluations_to_hit"] == (20 + 101 + 130 + 101) / 2
    assert row["evaluations"] == 404


def test_columns_without_hits_or_reference():
    one = np.array([-1.0])
    evaluations = np.array([11])
    row = summarise.summarise(one, one, evaluations, np.array([-1]))
    assert (row["hits"], row["hit_rate"], row["evaluations_to_hit"]) == (0, 0.0, None)
    assert row["mean_error"] is None
    row = summarise.summarise(one, one, evaluations, None)
    assert (row["hits"], row["hit_rate"], row["evaluations_to_hit"]) == (None,) * 3


def test_energy_that_is_not_finite_is_null():
    values = np.array([np.nan, -1.0])
    row = summarise.summarise(values, values, np.array([5, 5]), np.array([-1, -1]))
    assert row["min"] is None
    assert row["mean"] is None
    json.dumps(row, allow_nan=False)


@pytest.mark.parametrize(("steps", "chunk"), [(1, 1), (7, 1), (999, 1), (50_000, 100)])
def test_curve_ends_with_the_search(steps, chunk):
    stops = summarise.choose_curve_steps(steps, chunk)
    assert max(stops) == steps
    assert min(stops) == min(chunk, steps)
    assert len(stops) <= 100
    assert all(stop % chunk == 0 or stop == steps for stop in stops)


def test_settings():
    assert describe(GradientDescent(rate=1e-3)) == {
        "type": "GradientDescent",
        "rate": pytest.approx(1e-3, abs=1e-9),
        "limit": 100.0,
    }

    class Plain:
        pass

    def digests(rate):
        made = (
            GradientDescent(rate=rate),
            optax.sgd(rate),
            functools.partial(optax.sgd, rate),
            np.full(100, rate),
            jax.random.key(int(1e3 * rate)),
            [(rate, Plain())],
        )
        return [digest(describe(value)) for value in made]

    assert digests(1e-3) == digests(1e-3)
    assert all(a != b for a, b in zip(digests(1e-3), digests(2e-3), strict=True))


def test_paper_rows():
    without_hits = {**CELL, "optimizer": "gd", "min": -44.0, "hits": None}
    text = report.render([CELL, without_hits])
    rows = {line.split()[0]: line for line in text.splitlines() if line}
    assert rows["adam"].split()[-2:] == ["-44.33", "-40.58"]
    assert "1/10  10% [2, 40]" in rows["adam"]
    assert "2.50e+12" in rows["adam"]
    assert rows["gd"].split()[-1] == "1.0"
    assert rows["(ESMC"].split()[-2:] == ["-44.33", "-44.26"]
    assert "(Adam" not in rows
    assert "adam: -44.4 is lower than the lowest known" in text
    assert "adam: 2 of 10 quenches did not converge" in text


def test_protocols_are_not_mixed(tmp_path):
    old = {**CELL, "energies": [-1.0] * 10}
    new = {**old, "protocol": 2, "hits": 3}
    text = report.render([new, old])
    assert "float32, protocol 2" in text and "float32, protocol 1" in text
    assert len(figures.draw([new, old], tmp_path)) == 2
    lines = [{"meta": {}}, *({**cell, "key": cell} for cell in (new, old))]
    (tmp_path / "results.jsonl").write_text("\n".join(map(json.dumps, lines)))
    table = summary.format_table(str(tmp_path))
    assert "(3/10)" in table and "(1/10)" not in table


def test_hits_of_different_minima_are_not_compared(tmp_path):
    """As before and after a lower minimum, or a smaller tolerance, is known."""
    data = {"energies": [-44.0] * 10, "curve": [{"evaluations": 100, "mean": -40.0}]}
    before = CELL | data
    lower = before | {"reference": -44.4, "hits": 3}
    sharper = before | {"tolerance": 1e-4, "hits": 4}
    cells = [before, lower, sharper, lower | {"optimizer": "gd", "hits": 5}]
    tables = report.render(cells).split("LJ-13: ")[1:]
    assert [re.findall(r"(\d+)/10 ", table) for table in tables] == [
        ["1"],
        ["3", "5"],
        ["4"],
    ]
    assert [re.findall(r"known (.*) \(.*within (.*)\n", t)[0] for t in tables] == [
        ("-44.3268", "0.001"),
        ("-44.4000", "0.001"),
        ("-44.3268", "0.0001"),
    ]
    assert len(set(figures.draw(cells, tmp_path))) == 6


def test_table_of_different_minima_is_refused(tmp_path, monkeypatch):
    """Until all cells of a system are computed again; replaced ones do not matter."""
    monkeypatch.setattr(summary, "RESULTS", tmp_path)
    old = [CELL, CELL | {"optimizer": "gd"}]
    new = [cell | {"reference": -44.4, "hits": 3} for cell in old]

    def write(*cells):
        keys = [{name: cell[name] for name in columns.ESSENTIAL} for cell in cells]
        lines = [cell | {"key": key} for cell, key in zip(cells, keys, strict=True)]
        text = "\n".join(json.dumps(line) for line in ({"meta": {}}, *lines))
        (tmp_path / "results.jsonl").write_text(text)

    write(*old, new[0])
    with pytest.raises(ValueError, match="cells of LJ-13 differ"):
        summary.format_table("")
    assert "(1/10)" in summary.format_table("", ["gd"])
    write(*old, *new)
    assert summary.format_table("").count("(3/10)") == 2


@pytest.mark.parametrize("absent", [name for name in CELL if name != "system"])
def test_absent_columns_are_null(absent, tmp_path):
    cell = {name: value for name, value in CELL.items() if name != absent}
    if absent in columns.ESSENTIAL:
        with pytest.raises(KeyError):
            report.render([cell])
        return
    null = {**CELL, absent: None}
    assert report.render([cell]) == report.render([null])
    assert report.summarise_cell(cell) == report.summarise_cell(null)
    assert figures.draw([cell], tmp_path) == []


def test_columns_of_the_readme_are_those_of_the_code():
    assert columns.format_columns() in (BENCHMARKS / "README.md").read_text()


def test_bar(monkeypatch):
    stream = io.StringIO()
    stream.isatty = lambda: True
    now = iter([0.0, 10.0, 10.01, 12.0, 14.0])
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(now))
    monkeypatch.setenv("COLUMNS", "200")
    bar = progress.Bar("[1/2] LJ-4", 3, 1000, stream)
    bar.announce("compiling")
    for done in (100, 101, 300, 500):
        bar.update(done, np.array([-2.0, -3.0]))
    bar.clear()
    drawn = stream.getvalue().split("\r\x1b[K")[1:]
    assert drawn[0] == "[1/2] LJ-4  compiling ..."
    assert len(drawn) == 4 and drawn[-1] == ""
    # 400 steps of 3 starts in 4 seconds; 500 steps are left.
    assert "[#####.....] 500/1,000 0:05 left  best -3.00 mean -2.50" in drawn[2]
    assert drawn[2].endswith(" 300 eval/s")
