"""The benchmark: columns, results folder, resume, plug-ins, bad input."""

import io
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
TINY = ("--systems", "LJ-4", "--optimizers", "gd", "--starts", "3", "--steps", "40")

PLUGIN = '''
import time

import jax.numpy as jnp
from hopgym.optimizers import AbstractOptimizer


class Downhill(AbstractOptimizer):
    """A step of fixed length."""

    length: float = 0.02

    def init(self, positions, *, key, context):
        return None

    def update(self, gradient, state, positions, *, value, context):
        norm = jnp.sqrt(jnp.sum(gradient**2)) + 1e-9
        return -self.length * gradient / norm, None


class NotANumber(Downhill):
    def update(self, gradient, state, positions, *, value, context):
        return jnp.full_like(gradient, jnp.nan), None


class Flat(Downhill):
    def update(self, gradient, state, positions, *, value, context):
        return gradient.ravel(), None


class Annealed(Downhill):
    def __init__(self, system, steps):
        self.length = 1.0 / steps


def broken(system):
    raise RuntimeError("no idea how\\nto optimise " + system.name)


class Still(Downhill):
    def update(self, gradient, state, positions, *, value, context):
        return jnp.zeros_like(positions), None


class Endless(Downhill):
    def update(self, gradient, state, positions, *, value, context):
        time.sleep(600)


ready = Downhill(length=0.01)
tired = Downhill(length=0.0)
number = 3
'''


@pytest.fixture
def bench(monkeypatch):
    """`bench("run")` imports a module of the benchmark."""
    jax.devices()  # the benchmark asks for more devices where none are in use yet
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return __import__


@pytest.fixture
def main(bench):
    return bench("run").main


@pytest.fixture
def plugin(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(PLUGIN)
    return path


def results(folder):
    return json.loads((folder / "results.json").read_text())


def only_cell_file(folder):
    (path,) = (folder / "cells").glob("*.json")
    return path


def script(*arguments, **options):
    command = [sys.executable, str(BENCHMARKS / "run.py"), *map(str, arguments)]
    options = {"capture_output": True, "text": True, "timeout": 300} | options
    return subprocess.run(command, **options)


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
def test_wilson(bench, hits, starts, low, high):
    assert bench("columns").wilson(hits, starts) == pytest.approx((low, high), abs=1e-4)


def test_columns_by_hand(bench):
    row = bench("columns").summarise(
        quenched=np.array([-10.0, -9.0, -10.0, -9.5]),
        polished=np.array([-9.9, -8.0, -9.8, -9.3]),
        evaluations=np.array([101, 101, 101, 101]),
        # Met; passed by without being it; it only after the quench; never met.
        first_hit=np.array([20, 7, -1, -1]),
        is_hit=np.array([True, False, True, False]),
    )
    assert row["min"] == -10.0
    assert row["mean"] == -9.625
    deviation = math.sqrt((2 * 0.375**2 + 0.625**2 + 0.125**2) / 3)
    assert row["mean_error"] == pytest.approx(deviation / 2, abs=1e-6)
    assert row["final_min"] == -9.9
    assert row["final_mean"] == -9.25
    assert row["hits"] == 2
    assert row["hit_rate"] == 0.5
    assert row["evaluations_to_hit"] == (20 + 101 + 101 + 101) / 2
    assert row["evaluations"] == 404


def test_columns_without_hits_or_reference(bench):
    summarise = bench("columns").summarise
    one = np.array([-1.0])
    counts = (np.array([11]), np.array([-1]))
    row = summarise(one, one, *counts, np.array([False]))
    assert (row["hits"], row["hit_rate"], row["evaluations_to_hit"]) == (0, 0.0, None)
    assert row["mean_error"] is None
    row = summarise(one, one, *counts, None)
    assert (row["hits"], row["hit_rate"], row["evaluations_to_hit"]) == (None,) * 3


def test_energy_that_is_not_finite_is_null(bench):
    values = np.array([np.nan, -1.0])
    row = bench("columns").summarise(
        values, values, np.array([5, 5]), np.array([-1, -1]), np.array([False, False])
    )
    assert row["min"] is None
    assert row["mean"] is None
    json.dumps(row, allow_nan=False)


@pytest.mark.parametrize(("steps", "chunk"), [(1, 1), (7, 1), (999, 1), (50_000, 100)])
def test_curve_ends_with_the_search(bench, steps, chunk):
    stops = bench("columns").curve_stops(steps, chunk)
    assert max(stops) == steps
    assert min(stops) == min(chunk, steps)
    assert len(stops) <= 100
    assert all(stop % chunk == 0 or stop == steps for stop in stops)


def test_settings(bench):
    import functools

    import optax

    from hopgym.optimizers import GradientDescent

    settings = bench("settings")
    assert settings.describe(GradientDescent(rate=1e-3)) == {
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
        return [settings.digest(settings.describe(value)) for value in made]

    assert digests(1e-3) == digests(1e-3)
    assert all(a != b for a, b in zip(digests(1e-3), digests(2e-3), strict=True))


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
    found = results(out)
    meta = found["meta"]
    assert "run.py --systems LJ-4,LJ-5" in meta["command"]
    assert meta["seed"] == 2
    for name in ("python", "jax", "jaxlib", "hopgym", "equinox", "numpy", "protocol"):
        assert meta[name]
    for name in ("cpu", "cores", "date", "platform"):
        assert meta[name]
    assert [cell["system"] for cell in found["cells"]] == ["LJ-4", "LJ-5"]
    for cell, energy in zip(found["cells"], (-6.0, -9.103852), strict=True):
        assert cell["hits"] == 4
        assert cell["min"] == pytest.approx(energy, abs=1e-5)
        assert cell["mean"] == pytest.approx(energy, abs=1e-5)
        assert cell["evaluations"] == 4 * 3001
        assert cell["evaluations_post"] > 4 * 1001
        met = np.asarray(cell["first_hit"])
        assert cell["evaluations_to_hit"] == np.mean(np.where(met > 0, met, 3001))
        assert cell["dtype"] == "float64"
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


def test_starts_do_not_depend_on_the_optimizer(main, plugin, tmp_path):
    own = f"{plugin}:Still,{plugin}:tired"
    arguments = ["--systems", "LJ-4", "--starts", "3", "--steps", "4"]
    assert main([*arguments, "--optimizers", own, "--out", str(tmp_path / "out")]) == 0
    first, second = results(tmp_path / "out")["cells"]
    assert first["curve"] == second["curve"]
    assert first["energies"] == second["energies"]
    assert first["curve"][0]["q10"] < first["curve"][0]["q90"]


def test_finished_cells_are_kept(main, tmp_path, capsys):
    arguments = [*TINY, "--out", str(tmp_path)]
    assert main(arguments) == 0
    before = only_cell_file(tmp_path).read_bytes()
    figure = (tmp_path / "curves-LJ-4.png").stat().st_mtime_ns
    capsys.readouterr()

    assert main(arguments) == 0
    assert "finished before" in capsys.readouterr().err
    assert only_cell_file(tmp_path).read_bytes() == before
    assert (tmp_path / "curves-LJ-4.png").stat().st_mtime_ns > figure

    assert main([*arguments, "--fresh"]) == 0
    assert "finished before" not in capsys.readouterr().err
    assert only_cell_file(tmp_path).read_bytes() != before


def test_cells_of_other_settings_stay(main, tmp_path, capsys):
    assert main([*TINY, "--out", str(tmp_path)]) == 0
    assert main([*TINY, "--seed", "1", "--out", str(tmp_path)]) == 0
    assert [cell["seed"] for cell in results(tmp_path)["cells"]] == [1]
    assert len(list((tmp_path / "cells").iterdir())) == 2
    capsys.readouterr()

    assert main(["--report", str(tmp_path), "--markdown"]) == 0
    table = capsys.readouterr().out
    assert "| optimizer | min |" in table
    assert "seed 0" in table and "seed 1" in table
    assert len(results(tmp_path)["cells"]) == 2
    assert main(["--report", str(tmp_path), "--seed", "1"]) == 0
    assert "seed 0" not in capsys.readouterr().out
    assert [cell["seed"] for cell in results(tmp_path)["cells"]] == [1]


def test_broken_cell_is_run_again(main, tmp_path, capsys):
    arguments = [*TINY, "--out", str(tmp_path)]
    assert main(arguments) == 0
    path = only_cell_file(tmp_path)
    path.write_bytes(path.read_bytes()[:200])
    capsys.readouterr()
    assert main(arguments) == 0
    notice = capsys.readouterr().err
    assert path.name in notice and "run again" in notice
    assert json.loads(path.read_text())["system"] == "LJ-4"


@pytest.mark.parametrize("content", [b"", b'{"sy', b"{}", b"[1]", b"3", b"\xff\x00"])
def test_broken_cell_is_noticed(bench, tmp_path, content):
    store = bench("store").Store(tmp_path)
    key = dict.fromkeys(("system", "optimizer", "starts", "steps", "seed"), 1)
    key = {name: str(value) for name, value in key.items()} | {"dtype": "float32"}
    (tmp_path / "cells" / f"{store.stem(key)}.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"is (broken|incomplete)"):
        store.load(key)
    assert len(store.load_all()[1]) == 1


def test_changed_plugin_is_run_again(main, plugin, tmp_path, capsys):
    arguments = ["--systems", "LJ-4", "--starts", "3", "--steps", "5"]
    arguments += ["--optimizers", f"{plugin}:Downhill", "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    plugin.write_text(PLUGIN.replace("1e-9", "1e-8"))
    os.utime(plugin, (1, 1))  # so that no cached bytecode is taken for it
    capsys.readouterr()
    assert main(arguments) == 0
    assert "finished before" not in capsys.readouterr().err
    assert len(results(tmp_path / "out")["cells"]) == 1


@pytest.mark.parametrize("name", ["Downhill", "Annealed", "ready"])
def test_plugins(main, plugin, tmp_path, name):
    out = tmp_path / "out"
    spec = f"{plugin}:{name}"
    arguments = ["--systems", "LJ-4", "--starts", "3", "--steps", "20"]
    assert main([*arguments, "--optimizers", spec, "--out", str(out)]) == 0
    (cell,) = results(out)["cells"]
    assert cell["optimizer"] == f"own:{name}"
    length = {"Downhill": 0.02, "Annealed": 0.05, "ready": 0.01}[name]
    assert cell["settings"]["length"] == length


def test_plugin_of_a_module(main, plugin, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    plugin.rename(tmp_path / "module_of_a_user.py")
    arguments = [*TINY[:2], "--starts", "3", "--steps", "5", "--out", "out"]
    assert main([*arguments, "--optimizers", "module_of_a_user:Downhill"]) == 0
    (cell,) = results(tmp_path / "out")["cells"]
    assert cell["optimizer"] == "module_of_a_user:Downhill"


def test_example_of_the_readme(main, tmp_path):
    text = (BENCHMARKS / "README.md").read_text()
    example = text.partition("```python\n")[2].partition("```")[0]
    path = tmp_path / "my_file.py"
    path.write_text(example)
    out = tmp_path / "out"
    own = f"{path}:Normalised"
    assert main([*TINY[:2], *TINY[4:], "--optimizers", own, "--out", str(out)]) == 0
    (cell,) = results(out)["cells"]
    assert cell["settings"]["steps"] == 40
    assert cell["faults"] == 0


def test_what_goes_wrong_in_a_cell_stays_there(main, plugin, tmp_path, capsys):
    out = tmp_path / "out"
    own = [f"{plugin}:{name}" for name in ("broken", "Flat", "NotANumber")]
    arguments = ["--systems", "LJ-4", "--starts", "3", "--steps", "10"]
    optimizers = ",".join([*own, "gd"])
    assert main([*arguments, "--optimizers", optimizers, "--out", str(out)]) == 1
    printed = capsys.readouterr()
    assert "FAILED LJ-4 own:broken: RuntimeError: no idea how" in printed.out
    assert "FAILED LJ-4 own:Flat: ValueError" in printed.out
    assert "must return a displacement of shape (4, 3), got (12,)" in printed.out
    assert "* own:NotANumber: 360 components of updates were not finite" in printed.out
    assert "Traceback" not in printed.err
    found = results(out)
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
def test_bad_input(main, plugin, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    given = [argument.replace("OWN", str(plugin)) for argument in arguments]
    if "--optimizers" not in given:
        given += ["--optimizers", "gd"]
    with pytest.raises(SystemExit) as stopped:
        main(given)
    assert stopped.value.code == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert not printed.out
    assert not list(tmp_path.rglob("*.json"))


def test_plugin_that_cannot_be_imported(main, tmp_path, capsys):
    path = tmp_path / "wrong.py"
    path.write_text("import nothing_of_that_name")
    with pytest.raises(SystemExit) as stopped:
        main(["--optimizers", f"{path}:X"])
    assert stopped.value.code == 2
    assert "ModuleNotFoundError" in capsys.readouterr().err


def test_list(main, capsys):
    assert main(["--list"]) == 0
    printed = capsys.readouterr().out
    for word in ("quick", "paper", "LJ-2 ... LJ-150", "Gupta", "Silicon", "\n  gd "):
        assert word.casefold() in printed.casefold()


def test_bar(bench, monkeypatch):
    progress = bench("progress")
    stream = io.StringIO()
    stream.isatty = lambda: True
    now = iter([0.0, 10.0, 10.01, 12.0, 14.0])
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(now))
    monkeypatch.setenv("COLUMNS", "200")
    bar = progress.Bar("[1/2] LJ-4", 3, 1000, stream)
    bar.stage("compiling")
    for done in (100, 101, 300, 500):
        bar.update(done, np.array([-2.0, -3.0]))
    bar.clear()
    drawn = stream.getvalue().split("\r\x1b[K")[1:]
    assert drawn[0] == "[1/2] LJ-4  compiling ..."
    assert len(drawn) == 4 and drawn[-1] == ""
    # 400 steps of 3 starts in 4 seconds; 500 steps are left.
    assert "[#####.....] 500/1,000 0:05 left  best -3.00 mean -2.50" in drawn[2]
    assert drawn[2].endswith(" 300 eval/s")


def test_time_limit(main, tmp_path, capsys):
    arguments = [*TINY, "--out", str(tmp_path)]
    assert main([*arguments, "--time-limit", "1e-9"]) == 1
    assert "time limit reached, 1 cells left" in capsys.readouterr().err
    assert main(arguments) == 0


# Tests in the background of a script inherit Ctrl-C as ignored, and so would their
# children: a Python that hears it, and becomes the command.
HEAR_INTERRUPTS = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_interrupt_and_resume(main, plugin, tmp_path, capsys):
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
    assert main(arguments) == 0
    assert "finished before" in capsys.readouterr().err


def test_paper_rows(bench):
    render = bench("report").render
    cell = {
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
    text = render([cell, {**cell, "optimizer": "gd", "min": -44.0, "hits": None}])
    rows = {line.split()[0]: line for line in text.splitlines() if line}
    assert rows["adam"].split()[-2:] == ["-44.33", "-40.58"]
    assert "1/10  10% [2, 40]" in rows["adam"]
    assert "2.50e+12" in rows["adam"]
    assert rows["gd"].split()[-1] == "1.0"
    assert rows["(ESMC"].split()[-2:] == ["-44.33", "-44.26"]
    assert "(Adam" not in rows
    assert "adam: -44.4 is lower than the lowest known" in text
    assert "adam: 2 of 10 quenches did not converge" in text
