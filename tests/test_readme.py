"""What the README says is so: its code runs, its numbers are committed results."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import speed_summary, summary, sweep
from benchmarks.paper.registry import STUDIES
from benchmarks.store import read_record

pytestmark = pytest.mark.optimised

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


def test_tables_are_the_committed_results():
    tables = (table() for table in summary.TABLES)
    selected, paper, *searches, learning, sizes, moves, claims, leaderboard = tables
    assert all(table in README for table in (selected, claims, leaderboard))
    assert paper in (ROOT / "docs" / "results.md").read_text()
    page = (ROOT / "docs" / "hard_minima.md").read_text()
    assert len(searches) == 2 and all(table in page for table in searches)
    learned = (ROOT / "docs" / "learning.md").read_text()
    assert all(table in learned for table in (learning, sizes, moves))
    cells, _ = read_record(ROOT / "benchmarks" / "results" / "sweep")
    assert sweep.format_summary(cells) in page


def test_tables_of_speed_are_the_committed_results():
    assert speed_summary.format_times() in README
    speed = (ROOT / "docs" / "speed.md").read_text()
    for table in speed_summary.TABLES:
        assert table() in speed
    assert f"{speed_summary.measure_update():.2f} s" in speed


@pytest.mark.parametrize("name", ["summary", "speed_summary"])
def test_tables_are_printed(name, tmp_path):
    """By the file from any folder, and by the module from the root."""
    by_file = printed(str(ROOT / "benchmarks" / f"{name}.py"), cwd=tmp_path)
    assert by_file == printed("-m", f"benchmarks.{name}", cwd=ROOT)
    assert by_file.startswith("| ")


def test_files_named_in_the_readme_exist():
    for link in re.findall(r"\]\(((?!https?:)[^)#]+)\)", README):
        assert (ROOT / link).exists(), link


def test_sections_of_the_paper_exist():
    headings = re.findall(r"^## (.*)$", (ROOT / "docs/paper.md").read_text(), re.M)
    assert sorted(headings) == sorted(study.title for study in STUDIES.values())


def test_trained_optimizers_are_there_outside_of_the_clone(tmp_path):
    """As installed: not found in the working directory, as pytest finds the package."""
    code = "import hopgym.optimizers as o; names = o.list_trained(); print(*names); "
    code += "o.load(names[0])"
    shipped = sorted(path.stem for path in (ROOT / "optimizers/weights").glob("*.eqx"))
    assert shipped and printed("-c", code, cwd=tmp_path).split() == shipped
