"""The documentation and the notebooks: pages build without warnings, all code runs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.optimised

ROOT = Path(__file__).parents[1]


PAGES = [
    "benchmark.md",
    "extending.md",
    *(
        f"quickstart/{name}.md"
        for name in ("reinforcement_learning", "evolution", "optax", "chemistry")
    ),
]


# Parameters of the notebooks' first cells that make them small.
NOTEBOOKS = {
    "agent": {"HORIZON": 10, "EPISODES": 4, "UPDATES": 2},
    "chemist": {"SYSTEM": "Gupta-Au7", "STARTS": 2, "STEPS": 50, "EMT_STEPS": 20},
    "meta_training": {"GENERATIONS": 2, "UPDATES": 10, "STARTS": 2, "STEPS": 20},
}


def run_code(code, folder):
    """Run Python code as a script, and return what it prints."""
    (folder / "script.py").write_text(code)
    run = subprocess.run(
        [sys.executable, "-W", "error", "script.py"],
        cwd=folder,
        env={**os.environ, "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.parametrize("page", PAGES)
def test_code_of_a_page_runs(page, tmp_path):
    text = (ROOT / "docs" / page).read_text()
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    assert "nan" not in run_code(code, tmp_path)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_code_of_a_notebook_runs(name, tmp_path):
    text = (ROOT / "examples" / "notebooks" / f"{name}.ipynb").read_text()
    cells = [c for c in json.loads(text)["cells"] if c["cell_type"] == "code"]
    parameters, *others = ["".join(cell["source"]) for cell in cells]
    defaults = {}
    exec(parameters, {}, defaults)
    assert defaults.keys() >= NOTEBOOKS[name].keys()
    small = "\n".join(f"{key} = {value!r}" for key, value in NOTEBOOKS[name].items())
    code = "\n".join([parameters, small, *others])
    assert "nan" not in run_code(code, tmp_path)


def test_notebooks_show_their_results():
    for path in (ROOT / "examples" / "notebooks").glob("*.ipynb"):
        assert path.stem in NOTEBOOKS
        cells = json.loads(path.read_text())["cells"]
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        assert "display_data" in {output["output_type"] for output in outputs}
        assert "error" not in {output["output_type"] for output in outputs}


def test_pages_build_without_warnings(tmp_path):
    pytest.importorskip("mkdocs")
    run = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "index.html").exists()
