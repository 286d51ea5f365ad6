"""Adds figures of committed results to the documentation."""

from pathlib import Path

from mkdocs.structure.files import File

RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results"
PICTURES = {
    "cost.png": "speed/current/cost.png",
    "curves-LJ-13.png": "paper/curves-LJ-13.png",
    "curves-LJ-75.png": "paper/curves-LJ-75.png",
    "minima-LJ-75.png": "paper/minima-LJ-75.png",
    "minima-Gupta-Au55.png": "paper/minima-Gupta-Au55.png",
    "hits.png": "learning/hits.png",
    "sweep.png": "sweep/sweep.png",
    "figure3.png": "fig3/figure.png",
    "figure4.png": "fig4/figure.png",
    "figure6.png": "fig6/figure.png",
    "figure7.png": "fig7/figure.png",
    "figure8.png": "fig8/figure.png",
    "rl.png": "rl/LJ-13-step.png",
}


def on_files(files, config):
    for name, source in PICTURES.items():
        files.append(
            File.generated(
                config, f"results/{name}", abs_src_path=str(RESULTS / source)
            )
        )
    return files
