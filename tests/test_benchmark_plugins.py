"""Optimizers of a user in the benchmark."""

import os
import sys

import jax
import pytest
from benchmark_runs import (
    BENCHMARKS,
    PLUGIN,
    TINY,
    main,
    read_csv,
    read_results,
    write_plugin,
)

from hopgym.optimizers import save
from hopgym.optimizers.learned import make_untrained


@pytest.fixture
def plugin(tmp_path):
    return write_plugin(tmp_path)


def test_changed_plugin_is_run_again(plugin, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["--systems", "LJ-4", "--starts", "3", "--steps", "5"]
    arguments += ["--optimizers", f"{plugin}:Downhill", "--out", out]
    assert main(*arguments) == 0
    plugin.write_text(PLUGIN.replace("1e-9", "1e-8"))
    os.utime(plugin, (1, 1))  # so that no cached bytecode is taken for it
    capsys.readouterr()
    assert main(*arguments) == 0
    assert "finished before" not in capsys.readouterr().err
    assert len(read_csv(out, "optimizer")) == 1
    sources = [cell["key"]["source"] for cell in read_results(out)["cells"]]
    assert len({*sources}) == 2


@pytest.mark.parametrize("name", ["Downhill", "Annealed", "ready"])
def test_plugins(plugin, tmp_path, name):
    out = tmp_path / "out"
    spec = f"{plugin}:{name}"
    arguments = ["--systems", "LJ-4", "--starts", "3", "--steps", "20"]
    assert main(*arguments, "--optimizers", spec, "--out", out) == 0
    (cell,) = read_results(out)["cells"]
    assert cell["optimizer"] == f"own:{name}"
    length = {"Downhill": 0.02, "Annealed": 0.05, "ready": 0.01}[name]
    assert cell["settings"]["length"] == length


def test_plugin_of_a_module(plugin, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    plugin.rename(tmp_path / "module_of_a_user.py")
    arguments = [*TINY[:2], "--starts", "3", "--steps", "5", "--out", "out"]
    assert main(*arguments, "--optimizers", "module_of_a_user:Downhill") == 0
    (cell,) = read_results(tmp_path / "out")["cells"]
    assert cell["optimizer"] == "module_of_a_user:Downhill"


def test_example_of_the_readme(tmp_path):
    text = (BENCHMARKS / "README.md").read_text()
    example = text.partition("```python\n")[2].partition("```")[0]
    path = tmp_path / "my_file.py"
    path.write_text(example)
    out = tmp_path / "out"
    own = f"{path}:Normalised"
    assert main(*TINY[:2], *TINY[4:], "--optimizers", own, "--out", out) == 0
    (cell,) = read_results(out)["cells"]
    assert cell["settings"]["steps"] == 40
    assert cell["faults"] == 0


def test_plugin_that_cannot_be_imported(tmp_path, capsys):
    path = tmp_path / "wrong.py"
    path.write_text("import nothing_of_that_name")
    with pytest.raises(SystemExit) as stopped:
        main("--optimizers", f"{path}:X")
    assert stopped.value.code == 2
    assert "ModuleNotFoundError" in capsys.readouterr().err


def test_trained_weights(tmp_path, capsys):
    """A file of weights is an optimizer, and another one if it has changed."""
    out, path = tmp_path / "out", tmp_path / "mine.eqx"
    arguments = ["--systems", "LJ-4", "--starts", "3", "--steps", "20"]
    arguments += ["--optimizer", path, "--optimizers", "gd", "--out", out]
    search = make_untrained("bh-lbfgs", jax.random.key(0))
    for change in (0.0, 1.0):
        changed = jax.tree.map(lambda x, by=change: x + by, search)
        save(path, changed, {"name": "bh-lbfgs"}, {})
        assert main(*arguments) == 0
        assert "[2/2] LJ-4  mine" in capsys.readouterr().err
    cells = read_results(out)["cells"]
    sources = [cell["key"]["source"] for cell in cells if cell["optimizer"] == "mine"]
    assert len({*sources}) == len(sources) == 2
    path.write_bytes(b"nothing")
    with pytest.raises(SystemExit) as stopped:
        main(*arguments)
    assert stopped.value.code == 2
    assert "mine.eqx" in capsys.readouterr().err
