"""The documentation: its pages build without warnings, and its code runs."""

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


@pytest.mark.parametrize("page", PAGES)
def test_code_of_a_page_runs(page, tmp_path):
    text = (ROOT / "docs" / page).read_text()
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    (tmp_path / "page.py").write_text(code)
    run = subprocess.run(
        [sys.executable, "-W", "error", "page.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert "nan" not in run.stdout


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
