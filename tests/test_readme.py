"""What the README says is so: its code runs, its numbers are committed results."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def printed(*arguments, cwd=None):
    """What Python prints, given arguments and run from a folder; it must succeed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_example_runs():
    """The twelve lines, with a shorter search."""
    example = blocks("python")[0].replace("20_000", "200")
    assert printed("-W", "error", "-c", example).startswith("[-")


def test_own_optimizer_runs(tmp_path):
    """The file of the README as a plug-in of the benchmark."""
    code = next(block for block in blocks("python") if "my_file.py" in block)
    (tmp_path / "my_file.py").write_text(code)
    command = [str(ROOT / "benchmarks" / "run.py")]
    command += ["--systems", "LJ-4", "--optimizers", "my_file.py:MyOptimizer"]
    command += ["--starts", "4", "--steps", "100", "--out", "out"]
    assert "my_file:MyOptimizer" in printed(*command, cwd=tmp_path)


@pytest.mark.parametrize("folder", ["paper", "yardstick"])
def test_tables_are_the_committed_results(folder, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import summary

    assert summary.table(folder, papers=folder == "paper") in README


def test_table_of_goals_is_the_committed_result(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import goals

    table = goals.table()
    assert table in README and "not measured" not in table
    assert goals.searches() in README and f"{goals.update():.2f} s" in README


def test_files_named_in_the_readme_exist():
    for link in re.findall(r"\]\(((?!https?:)[^)#]+)\)", README):
        assert (ROOT / link).exists(), link


def test_trained_optimizers_are_there_outside_of_the_clone(tmp_path):
    """As installed: not found in the working directory, as pytest finds the package."""
    code = "import hopgym.optimizers as o; names = o.list_trained(); print(*names); "
    code += "o.load(names[0])"
    shipped = sorted(path.stem for path in (ROOT / "optimizers/weights").glob("*.eqx"))
    assert shipped and printed("-c", code, cwd=tmp_path).split() == shipped
