"""The benchmark as a whole: runs, their results, failures, the command line."""

import subprocess
import sys

import jax
import numpy as np
import pytest
from benchmark_runs import BENCHMARKS, main, read_results, script, write_plugin

from benchmarks import command_line, runner
from benchmarks.presets import PRESETS

COMMANDS = (
    *("run", "sweep", "external_search", "tune", "validate", "reproduce", "gallery"),
    *("epoch_figure", "speed", "speed_quench", "speed_search", "speed_figure"),
)


def test_programs_of_earlier_cells_are_forgotten():
    traced = []
    program = jax.jit(lambda x: traced.append(x) or x)
    for count, compiled in (
        (1, 1),
        (runner.CELLS_AT_ONCE, 2),
        (runner.CELLS_AT_ONCE + 1, 2),
    ):
        program(1.0)
        runner.forget_programs(count)
        program(1.0)
        assert len(traced) == compiled


@pytest.fixture
def plugin(tmp_path):
    return write_plugin(tmp_path)


def test_whole_run(tmp_path):
    out = tmp_path / "out"
    done = script(
        *("--systems", "LJ-4,LJ-5", "--optimizers", "gd", "--float64"),
        *("--starts", 4, "--steps", 3000, "--seed", 2, "--out", out),
    )
    assert done.returncode == 0, done.stderr
    assert "LJ-5: 4 starts x 3,000 steps, seed 2, float64" in done.stdout
    assert "lowest known -9.1039" in done.stdout
    assert "[2/2] LJ-5  gd  min -9.104" in done.stderr
    found = read_results(out)
    meta = found["meta"]
    assert "run.py --systems LJ-4,LJ-5" in meta["command"]
    assert meta["seed"] == 2
    for name in ("jax", "jaxlib", "hopgym", "equinox", "numpy"):
        assert meta["versions"][name]
    for name in ("python", "protocol", "cpu", "cores", "date", "platform"):
        assert meta[name]
    assert found["failures"] == []
    assert [cell["system"] for cell in found["cells"]] == ["LJ-4", "LJ-5"]
    for cell, energy in zip(found["cells"], (-6.0, -9.103852), strict=True):
        assert cell["hits"] == 4
        assert cell["min"] == pytest.approx(energy, abs=1e-5)
        assert cell["mean"] == pytest.approx(energy, abs=1e-5)
        assert cell["evaluations"] == 4 * 3001
        assert cell["evaluations_post"] > 4 * 1001
        mean = pytest.approx(np.mean(cell["first_hit"]), abs=0.06)
        assert cell["evaluations_to_hit"] == mean
        assert cell["protocol"] == cell["key"]["protocol"] == meta["protocol_version"]
        assert cell["dtype"] == cell["key"]["dtype"] == "float64"
        assert cell["host"]["versions"] == meta["versions"] and cell["date"]
        assert len(cell["energies"]) == 4
        means = [point["mean"] for point in cell["curve"]]
        assert means == sorted(means, reverse=True)
        assert cell["curve"][-1]["evaluations"] == 3001
    rows = (out / "results.csv").read_text().splitlines()
    assert len(rows) == 3
    for kind in ("minima", "curves"):
        for system in ("LJ-4", "LJ-5"):
            assert (out / f"{kind}-{system}.png").stat().st_size > 5000
    assert not list(out.rglob("*.tmp"))


def test_starts_do_not_depend_on_the_optimizer(plugin, tmp_path):
    own = f"{plugin}:Still,{plugin}:tired"
    arguments = ["--systems", "LJ-4", "--starts", "3", "--steps", "4"]
    assert main(*arguments, "--optimizers", own, "--out", tmp_path / "out") == 0
    first, second = read_results(tmp_path / "out")["cells"]
    assert first["curve"] == second["curve"]
    assert first["energies"] == second["energies"]
    assert first["curve"][0]["q10"] < first["curve"][0]["q90"]


def test_what_goes_wrong_in_a_cell_stays_there(plugin, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    counts = []
    monkeypatch.setattr(runner, "forget_programs", counts.append)
    own = [f"{plugin}:{name}" for name in ("broken", "Flat", "NotANumber")]
    arguments = ["--systems", "LJ-4", "--starts", "3", "--steps", "10"]
    optimizers = ",".join([*own, "gd"])
    assert main(*arguments, "--optimizers", optimizers, "--out", out) == 1
    printed = capsys.readouterr()
    assert counts == [1, 2, 3, 4]  # also after those that failed
    assert "FAILED LJ-4 own:broken: RuntimeError: no idea how" in printed.out
    assert "FAILED LJ-4 own:Flat: ValueError" in printed.out
    assert "must return a displacement of shape (4, 3), got (12,)" in printed.out
    assert "* own:NotANumber: 360 components of updates were not finite" in printed.out
    assert "Traceback" not in printed.err
    found = read_results(out)
    assert [cell["optimizer"] for cell in found["cells"]] == ["own:NotANumber", "gd"]
    assert [cell["faults"] for cell in found["cells"]] == [360, 0]
    assert [f["optimizer"] for f in found["failures"]] == ["own:broken", "own:Flat"]
    tracebacks = [path.read_text() for path in (out / "failed").iterdir()]
    assert len(tracebacks) == 2
    assert all("Traceback" in text for text in tracebacks)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--starts", "0"], "--starts: must be between 1"),
        (["--steps", "-5"], "--steps: must be between 1"),
        (["--steps", "many"], "'many' is not an integer"),
        (["--seed", "-1"], "--seed: must be between 0"),
        (["--time-limit", "0"], "must be positive"),
        (["--systems", "LJ13"], "unknown system 'LJ13'; did you mean 'LJ-13'"),
        (["--systems", "LJ-1"], "minima are known for LJ-2 to LJ-150"),
        (["--systems", ","], "no systems to run"),
        (["--optimizers", ","], "no optimizers to run"),
        (["--optimizers", "gdd"], "unknown optimizer 'gdd'; did you mean 'gd'"),
        (["--optimizers", "gd,nothing"], "unknown optimizer 'nothing'"),
        (["--optimizer", "gone.py:X"], "cannot import gone.py: FileNotFoundError"),
        (["--optimizer", "OWN:Downhil"], "did you mean 'Downhill'"),
        (["--optimizer", "OWN:number"], "neither an optimizer nor a function"),
        (["--optimizer", "OWN:"], "write FILE.py:NAME"),
        (["--preset", "papr"], "invalid choice: 'papr'"),
        (["--out", "OWN"], "cannot write results"),
        (["--out", "OWN/deeper"], "cannot write results"),
        (["--report", "gone"], "holds no results"),
        (["--bogus"], "unrecognized arguments"),
    ],
)
def test_bad_input(plugin, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    given = [argument.replace("OWN", str(plugin)) for argument in arguments]
    if "--optimizers" not in given:
        given += ["--optimizers", "gd"]
    with pytest.raises(SystemExit) as stopped:
        main(*given)
    assert stopped.value.code == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert not printed.out
    assert not list(tmp_path.rglob("*.json*"))


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_can_be_run(preset):
    args = command_line.make_parser().parse_args(["--preset", preset])
    cells = command_line.choose_cells(args)
    assert len(cells) == len(PRESETS[preset].systems) * len(PRESETS[preset].optimizers)


def test_list(capsys):
    assert main("--list") == 0
    printed = capsys.readouterr().out
    for word in ("quick", "paper", "LJ-2 ... LJ-150", "Gupta", "Silicon", "\n  gd "):
        assert word.casefold() in printed.casefold()


# Runs files (PATH.py) or modules as Python does, each as if it were the first to import
# the benchmark: JAX is imported once for all.
EACH = """
import pathlib, runpy, sys

usual = sys.path[1:]
for command in sys.argv[1:]:
    for name in [n for n in sys.modules if n.partition(".")[0] == "benchmarks"]:
        del sys.modules[name]
    sys.argv = [command, "--help"]
    try:
        if command.endswith(".py"):
            sys.path[:] = [str(pathlib.Path(command).parent), *usual]
            runpy.run_path(command, run_name="__main__")
        else:
            sys.path[:] = ["", *usual]
            runpy.run_module(command, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        print(f"{command}: {end.code}")
"""


@pytest.mark.parametrize("how", ["as files from any folder", "as modules of the root"])
def test_commands_run(how, tmp_path):
    files = how.startswith("as files")
    given = [f"{BENCHMARKS}/{c}.py" if files else f"benchmarks.{c}" for c in COMMANDS]
    done = subprocess.run(
        [sys.executable, "-c", EACH, *given],
        cwd=tmp_path if files else BENCHMARKS.parent,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    for name, command in zip(COMMANDS, given, strict=True):
        assert f"usage: {name}.py" in done.stdout
        assert f"{command}: 0\n" in done.stdout
