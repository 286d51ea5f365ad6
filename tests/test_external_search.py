"""Searches of other programs under the protocol of the benchmark."""

import importlib.util
import json
import sys
from dataclasses import dataclass

import jax
import numpy as np
import pytest
from benchmark_runs import BENCHMARKS, read_results

from benchmarks import (
    enter_external,
    external_cell,
    external_programs,
    external_search,
)
from benchmarks.external_cell import Recorder
from benchmarks.timing.external import make_numpy
from hopgym import get_system
from hopgym._cli.interrupt import OutOfTime
from hopgym.evaluation import run_cell
from hopgym.evaluation.plugins import Entry, find_optimizer
from hopgym.suites import SUITES, Suite, verify


def ignore(*_):
    pass


def parabola(positions):
    return float(np.sum(positions**2)), 2 * positions


def make_recorder(steps=10, stops=(), watch=ignore, goal=0.5, compute=parabola):
    return Recorder(compute, goal, steps, stops, watch)


@dataclass(frozen=True)
class Descent:
    """Gradient descent, which asks for the energy and the gradient in turn."""

    rate: float
    limit: float = 100.0

    def search(self, recorder, start, evaluations, seed):
        positions = start
        for _ in range(evaluations + 3):  # more than allowed
            energy, _ = recorder.evaluate(positions)
            _, gradient = recorder.evaluate(positions.copy())
            assert np.isfinite(energy)
            positions = positions - self.rate * np.clip(
                gradient, -self.limit, self.limit
            )


def test_an_energy_with_its_gradient_is_one_evaluation():
    recorder = make_recorder()
    here, there = np.ones((1, 3)), np.full((1, 3), 2.0)
    energy, _ = recorder.evaluate(here)
    _, gradient = recorder.evaluate(here.copy())
    assert energy == 3 and gradient.tolist() == [[2, 2, 2]]
    assert recorder.count == 1
    for positions in (there, here):
        recorder.evaluate(positions)
    assert recorder.count == 3
    here[:] = 0.1  # in place, as programs do
    assert recorder.evaluate(here)[0] == pytest.approx(0.03)
    assert recorder.count == recorder.first_met == 4


def test_what_a_recorder_keeps():
    seen = []
    recorder = make_recorder(4, (0, 2, 4), lambda *found: seen.append(found))
    for x in (3.0, 2.0, 2.5, 0.1, 1.0, 0.0):  # the last one is too late
        recorder.evaluate(np.full((1, 3), x))
    assert recorder.count == 5 and recorder.spent
    assert recorder.first_met == 4
    assert recorder.last[0, 0] == 1.0
    assert [done for done, _ in seen] == [0, 2, 4]
    kept = [recorder.get_best(done)[1][0, 0] for done in (0, 2, 4)]
    assert kept == [3.0, 2.0, 0.1]


def test_an_error_of_the_watch_ends_the_search():
    def stop(*_):
        raise OutOfTime

    recorder = make_recorder(10, (0,), stop)
    for x in (1.0, 2.0):
        with pytest.raises(OutOfTime):
            recorder.evaluate(np.full((1, 3), x))
    assert recorder.count == 1


def test_the_potential_is_that_of_the_system():
    system = get_system("LJ-13")
    positions = np.random.default_rng(0).uniform(-1.2, 1.2, (13, 3))
    energy, gradient = external_cell.compile_potential("LJ-13")(positions)
    expected = make_numpy(system)(positions)
    assert energy == pytest.approx(expected[0], rel=1e-12)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-9)


def test_a_search_is_treated_as_that_of_an_optimizer():
    system = get_system("LJ-5")
    own = run_cell.CellSpec(system, find_optimizer("gd"), 3, 600, 4)
    optimizer = own.entry.make(system, 600)
    expected = run_cell.run(own, optimizer, ignore, ignore)
    assert expected["hits"]
    program = Descent(float(optimizer.rate))
    entry = Entry("descent", lambda system, steps: program)
    spec = run_cell.CellSpec(system, entry, 3, 600, 4)
    cell = json.loads(json.dumps(external_cell.run(spec, program, ignore, ignore)))
    for name in ("starts", "steps", "seed", "dtype", "protocol", "hits", "evaluations"):
        assert cell[name] == expected[name]
    for name in ("min", "mean", "final_min", "final_mean"):
        assert cell[name] == pytest.approx(expected[name], abs=1e-3)
    np.testing.assert_allclose(cell["first_hit"], expected["first_hit"], rtol=0.1)
    means = [[p["mean"] for p in c["curve"]] for c in (cell, expected)]
    np.testing.assert_allclose(*means, rtol=2e-3)
    assert cell["settings"] == {
        "type": "Descent",
        "rate": program.rate,
        "limit": 100,
    }
    assert cell.keys() == expected.keys()


def test_a_command_resumes(tmp_path, monkeypatch, capsys):
    jax.devices()  # the command asks for more devices where none are in use yet
    seeds = []

    class Counted(Descent):
        def search(self, recorder, start, evaluations, seed):
            seeds.append(seed)
            super().search(recorder, start, evaluations, seed)

    monkeypatch.setitem(external_search.PROGRAMS, "own", lambda: Counted(1e-3))
    arguments = ["--programs", "own", "--systems", "LJ-5", "--starts", "3"]
    arguments += ["--steps", "30", "--out", str(tmp_path)]
    for _ in range(2):
        assert external_search.main(arguments) == 0
        assert "own" in capsys.readouterr().out
    assert len(seeds) == len({*seeds}) == 3  # one for each start
    (cell,) = read_results(tmp_path)["cells"]
    assert cell["evaluations"] == 3 * 31
    assert external_search.main([*arguments, "--fresh", "--time-limit", "1e-9"]) == 1
    assert "time limit reached, 1 cells left" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "pip install anneal, or leave it out with --programs"),
        (["--programs", "pele"], "pip install pele, or leave it out with --programs"),
        (["--programs", "peel"], "unknown program 'peel'; did you mean 'pele'"),
        (["--systems", "SW-Si64"], "LJ clusters, not for SW-Si64"),
        (["--steps", "0"], "--steps: must be between 1"),
    ],
)
def test_bad_input(tmp_path, monkeypatch, capsys, arguments, message):
    for name in ("anneal", "pele", "pele.systems"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SystemExit) as stopped:
        external_search.main([*arguments, "--out", str(tmp_path / "out")])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_documentation_agrees_with_the_record():
    cells = read_results(BENCHMARKS / "results" / "external")["cells"]
    own = [c for c in cells if c["optimizer"] == "anneal-communicating"]
    (row,) = [
        line
        for line in (BENCHMARKS.parent / "docs" / "results.md").read_text().split("\n")
        if line.startswith("| other programs |")
    ]
    assert [cell["system"] for cell in own[:2]] == ["LJ-38", "LJ-75"]
    for cell in own[:2]:
        spent = f"{cell['evaluations_to_hit']:,.0f}"
        assert cell["system"] in row and f"in {cell['hits']}, after {spent}" in row
    hits = {cell["system"]: cell["hits"] for cell in own[2:]}
    assert hits.pop("LJ-76") == 2 and "LJ-76 in 2" in row
    assert set(hits.values()) == {0} and "77, 98 and 102 to 104 in none" in row


def test_a_program_enters_a_suite(tmp_path, monkeypatch, capsys):
    jax.devices()
    suite = Suite("tiny", (), ("LJ-5", "SW-Si8"), (250, 500), 4)
    monkeypatch.setitem(SUITES, "tiny", suite)
    monkeypatch.setitem(external_programs.PROGRAMS, "own", lambda: Descent(1e-3))
    words = ["own", "--suite", "tiny", "--ruleset", "self-tuned", "--author", "A"]
    words += ["--tuning", "none", "--out", str(tmp_path / "entry")]
    assert enter_external.main(words) == 0
    assert "1 of 2 test systems are missing" in capsys.readouterr().err
    assert verify.main([str(tmp_path / "entry")]) == 0
    said = capsys.readouterr().err
    assert "4 of 4 starts hit" in said and "not the minimum" not in said
    with pytest.raises(SystemExit):
        enter_external.main([*words, "--systems", "SW-Si8"])
    assert "search for the LJ clusters, not for SW-Si8" in capsys.readouterr().err


@pytest.mark.parametrize("name", external_programs.PROGRAMS)
def test_programs(name, monkeypatch):
    package = name.partition("-")[0]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    own = []  # pele's searches, which count their evaluations
    if package == "pele":
        cluster = pytest.importorskip("pele.systems").LJCluster
        make = cluster.get_basinhopping
        monkeypatch.setattr(
            cluster,
            "get_basinhopping",
            lambda self, **options: own.append(make(self, **options)) or own[-1],
        )
    system = get_system("LJ-7")
    compute, computed = external_cell.compile_potential("LJ-7"), []
    start = np.asarray(system.sample(jax.random.key(0)), float)

    def counted(positions):
        computed.append(np.array(positions))
        return compute(positions)

    recorder = make_recorder(1500, goal=float(system.reference) + 0.01, compute=counted)
    external_programs.PROGRAMS[name]().search(recorder, start, 1501, 3)
    assert any(np.allclose(positions, start) for positions in computed[:5])
    assert recorder.first_met > 0
    assert recorder.best[0] == pytest.approx(float(system.reference), abs=1e-4)
    if own:
        hops = own[0].stepnum + 1
        assert recorder.count == 1501
        assert abs(own[0].result.nfev - len(computed)) <= hops
    else:
        assert 0.9 * 1501 < recorder.count == len(computed) <= 1501
