"""Figures and tables of the paper by their command."""

import argparse
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from benchmark_runs import read_results

import hopgym
from benchmarks import reproduce
from benchmarks.paper import figure4, figure7, table3
from benchmarks.paper.figure3 import Figure3
from benchmarks.paper.registry import STUDIES
from benchmarks.paper.study import COMMITTED, CellPlan, Training
from benchmarks.paper.table3 import Table3
from benchmarks.store import RECORD, read_sound_record
from hopgym.optimizers import ZOO, read_header

PAGE = Path(__file__).parents[1] / "docs" / "paper.md"


def main(*arguments):
    """The exit code of the command in this process."""
    jax.devices()  # the command asks for more devices where none are in use yet
    return reproduce.main([str(argument) for argument in arguments])


def fail(capsys, *arguments):
    """The message of a command that must fail."""
    with pytest.raises(SystemExit) as stopped:
        main(*arguments)
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    return message


@pytest.mark.parametrize(
    "name, system, optimizers, shown",
    [
        ("table2", "LJ-13", "adam", "**LJ-13**"),
        ("table3", "LJ-75", "adam,radial-ga-0", "| + radial |"),
        ("table6", "LJ-13", "adam,silicon-esmc", "| LJ-13 | silicon |"),
        ("fig4", "LJ-5", "adam,six-ga", "| `six-ga` | 1 |"),
        ("fig7", "Gupta-Ag19Au19", "adam,agau-esmc", "| `agau-esmc` | 1 | 0 |"),
        ("fig8", "LJ-5", "adam,lj75-esmc", "| `lj75-esmc` | 1 |"),
    ],
)
def test_quick_studies(name, system, optimizers, shown, tmp_path, capsys):
    few = ("--systems", system, "--optimizers", optimizers, "--starts", 2)
    assert main(name, "--quick", *few, "--steps", 20, "--out", tmp_path) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(f"The paper: {STUDIES[name].claim}.\n")
    assert shown in printed.out
    assert all(cell["steps"] == 20 for cell in read_results(tmp_path)["cells"])
    for path in tmp_path.glob("*.png"):
        assert path.stat().st_size > 5000


def test_energies_below_the_lowest_known_are_mentioned(tmp_path, capsys):
    (cell, *_) = read_sound_record(COMMITTED / "paper")
    words = argparse.Namespace(out=tmp_path, quick=False, fresh=False, time_limit=None)
    publication = reproduce.Publication(STUDIES["table2"], words)
    text = "is lower than the lowest known energy"
    for energy, is_mentioned in ((cell["reference"], False), (-999.0, True)):
        publication.publish([{**cell, "min": energy}], [])
        assert (f": {energy} {text}" in capsys.readouterr().out) == is_mentioned


@pytest.mark.parametrize("name", ["fig6", "fig7", "fig8", "table6"])
def test_nothing_is_drawn_of_nothing(name, tmp_path, capsys):
    words = (name, "--quick", "--optimizers", "adam", "--starts", 2, "--steps", 20)
    assert main(*words, "--time-limit", 1e-9, "--out", tmp_path) == 1
    printed = capsys.readouterr()
    assert "time limit reached" in printed.err and not printed.out
    assert not list(tmp_path.glob("*.png"))


class Small(Table3):
    """Quick enough to be trained in a test."""

    name = "small"

    def list_trainings(self):
        options = ("--systems", "LJ-5", "--strategy", "ga", "--features", "gradients")
        return [
            Training(f"own-{seed}", 1, (*options, "--seed", str(seed)))
            for seed in (0, 1)
        ]

    def list_cells(self, quick):
        return [CellPlan("LJ-5", "own-0", 2, 20)]

    def format(self, cells, folder):
        return f"final mean {cells[0]['final_mean']}"


def test_weights_are_trained_and_used(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(STUDIES, "small", Small())
    words = ("small", "--quick", "--out", tmp_path)
    assert "there are no weights own-0" in fail(capsys, *words)
    assert main(*words, "--train", "--updates", 1) == 0
    # Those that the cells do not use are not trained.
    assert [path.name for path in tmp_path.glob("*.eqx")] == ["own-0.eqx"]
    assert read_header(tmp_path / "own-0.eqx")["updates_planned"] == 1
    lines = (tmp_path / "own-0.jsonl").read_text().splitlines()
    assert [json.loads(line)["update"] for line in lines] == [0, 1]
    capsys.readouterr()
    assert main(*words, "--train", "--updates", 1) == 0
    assert "trained before" in capsys.readouterr().err
    assert main(*words) == 0
    assert "final mean -" in capsys.readouterr().out
    assert "was trained for 1 updates, not 3" in fail(
        capsys, *words, "--train", "--updates", 3
    )
    assert "has results of seed 0" in fail(capsys, *words, "--seed", 1)


def test_bad_input(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "invalid choice: 'fig9'" in fail(capsys, "fig9")
    assert "--steps is an option of cells" in fail(
        capsys, "fig6", "--train", "--steps", 3
    )
    assert "which fig3 has not" in fail(capsys, "fig3", "--optimizers", "adam")
    assert "add --train" in fail(capsys, "fig6", "--updates", 3)
    few = ("fig6", "--train", "--optimizers", "adam")
    assert "unknown training 'adam'" in fail(capsys, *few)
    assert "name one of" in fail(capsys)
    assert "has no trainings" in fail(capsys, "table2", "--train")
    assert "unknown system 'LJ-14'" in fail(capsys, "table2", "--systems", "LJ-14")
    assert not list(tmp_path.iterdir())


def test_the_list(capsys):
    assert main("--list") == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in STUDIES)


@pytest.mark.parametrize("name", STUDIES)
def test_optimizers_of_cells_exist(name):
    study = STUDIES[name]
    trained = [one.name for one in study.list_trainings()]
    assert len(set(trained)) == len(trained) and not set(trained) & set(ZOO)
    for quick in (False, True):
        plans = study.list_cells(quick)
        assert {plan.optimizer for plan in plans} <= {*ZOO, *trained}
        assert len(set(plans)) == len(plans)


@pytest.mark.parametrize("name", [name for name in STUDIES if name != "table2"])
def test_tables_of_the_page_are_the_committed_results(name):
    folder, study = COMMITTED / name, STUDIES[name]
    has_cells = bool(study.list_cells(False))
    if has_cells and not (folder / RECORD).is_file():
        pytest.skip("not computed yet")
    cells = read_sound_record(folder) if has_cells else []
    assert study.format(cells, folder) in PAGE.read_text()


# Fig. 3


def write_metrics(folder, name, losses):
    lines = []
    for update, loss in enumerate(losses):
        cell = {"final_loss": loss, "hit_rate": -loss, "hits": int(-40 * loss)}
        cell["starts"] = 40
        lines.append({"update": 10 * update, "evaluation": {"LJ-13": cell}})
        lines.append({"update": 10 * update + 1, "loss": loss})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / f"{name}.jsonl").write_text(text)


def test_means_over_seeds(tmp_path, monkeypatch):
    study = Figure3()
    monkeypatch.setattr("benchmarks.paper.study.COMMITTED", tmp_path / "none")
    with pytest.raises(ValueError, match="has no metrics of trainings"):
        study.format([], tmp_path)
    write_metrics(tmp_path, "es-unbounded-0", [-0.8, -0.9])
    write_metrics(tmp_path, "ga-0", [-0.8, -1.0, -0.9])
    write_metrics(tmp_path, "ga-1", [-0.8, -0.9, -0.7])
    write_metrics(tmp_path, "other-0", [-0.8])
    rows = [line.split(" | ") for line in study.format([], tmp_path).splitlines()[2:]]
    assert [row[0] for row in rows] == ["| ES, losses unbounded", "| GA"]
    ga = ["2", "20", "-0.8000", "0.1414", "-0.9500"]
    assert rows[1][1:] == [*ga, "36, 28", "40, 36", "40 |"]
    (path,) = study.draw([], tmp_path)
    assert path.stat().st_size > 10_000
    with (tmp_path / "ga-0.jsonl").open("a") as stream:
        stream.write('{"update": 1')
    with pytest.raises(ValueError, match="is damaged"):
        study.format([], tmp_path)


def test_the_committed_metrics_are_drawn(tmp_path, capsys):
    assert main("fig3", "--out", tmp_path) == 0
    assert "| GA | 3 |" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]
    assert len(list((COMMITTED / "fig3").glob("*.jsonl"))) == 12
    # They are not mixed with those of other trainings.
    write_metrics(tmp_path, "ga-1", [-0.8])
    assert main("fig3", "--out", tmp_path) == 0
    printed = capsys.readouterr().out
    assert "| GA | 1 |" in printed and "ESMC |" not in printed
    for damaged in ("", '{"update": 0, "evaluation": {}}', "[]"):
        (tmp_path / "ga-1.jsonl").write_text(damaged)
        assert "is damaged" in fail(capsys, "fig3", "--out", tmp_path)


# Table 3


def make_cell(optimizer, energy, steps=400):
    names = ("final_min", "final_mean", "mean")
    cell = {"optimizer": optimizer, "steps": steps, "starts": 150, "hits": 3}
    return cell | dict.fromkeys(names, energy)


def test_medians_over_seeds(tmp_path):
    cells = [make_cell("adam", -380.0)]
    for seed, energy in zip((0, 1, 2), (-390.0, -385.0, -386.0), strict=True):
        cells.append(make_cell(table3.name_weights("step", "ga", seed), energy))
    rows = Table3().format(cells, tmp_path).splitlines()
    assert "ESMC, 400 evaluations:" in rows and "GA, 400 evaluations:" in rows
    median = "-386.00 [-390.00, -385.00]"
    hits = "3 [3, 3] of 150"
    assert f"| + step | {median} | {median} | {median} | {hits} | -393.9 |" in rows
    adam = "| none: Adam | -380.00 | -380.00 | -380.00 | 3 of 150 | -390.3 |"
    assert rows.count(adam) == 2
    # One that diverged.
    cells[1]["mean"] = None
    diverged = f"{median} | {median} | -385.00 [-386.00, inf]"
    assert diverged in Table3().format(cells, tmp_path)


# Figs. 4 and 8


def test_gaps_are_per_atom(tmp_path):
    cells = []
    for size, hits in ((5, 2), (10, 0)):
        energies = dict.fromkeys(
            ("min", "mean", "final_min", "final_mean"), -1.0 * size
        )
        cells.append(
            {
                "system": f"LJ-{size}",
                "optimizer": "adam",
                "starts": 2,
                "steps": 20,
                "hits": hits,
                "reference": -1.5 * size,
                **energies,
            }
        )
    study = STUDIES["fig4"]
    row = study.format(cells, tmp_path).splitlines()[-1]
    gaps = "0.5000 | 0.5000 | 0.5000 | 0.5000"
    assert row == f"| `adam` | 2 | {gaps} | 1 | 2 | 4 |"
    axes = figure4.plot(cells).axes[0]
    (line,) = (line for line in axes.lines if line.get_label() == "adam")
    np.testing.assert_allclose(np.asarray(line.get_ydata()), 0.5)
    cells[1]["mean"] = None  # diverged
    assert "| `adam` | 2 | inf | 0.5000 |" in study.format(cells, tmp_path)
    assert figure4.plot(cells).axes[0].get_ylim()[1] == 0.5
    cells[0]["mean"] = None
    assert len(figure4.plot(cells).axes) == 4


# Fig. 7


def make_alloys(optimizer, energies, steps=50_000):
    return [
        {
            "system": figure7.name_system("Ag", "Au", number),
            "optimizer": optimizer,
            "starts": 2,
            "steps": steps,
            "min": energy,
            "final_min": energy + 1,
            "hits": 1,
            "reference": -14.0,
        }
        for number, energy in energies.items()
    ]


def test_names_of_alloys():
    names = [figure7.name_system("Ag", "Au", k) for k in (0, 3, 38)]
    assert names == ["Gupta-Ag38Au0", "Gupta-Ag35Au3", "Gupta-Ag0Au38"]
    for plan in STUDIES["fig7"].list_cells(False):
        assert hopgym.get_system(plan.system).atoms == 38
    # Pure clusters have the parameters of the pair, not those of gold-55.
    assert float(hopgym.get_system(names[2]).reference) == pytest.approx(-132.3969)


def test_hulls():
    energies = {0: -10.0, 10: -13.0, 19: -13.8, 30: -15.0, 38: -14.0}
    assert figure7.find_hull(energies) == [0, 10, 30, 38]
    formed = figure7.subtract_ends(energies, energies)
    assert formed[0] == formed[38] == 0
    assert formed[19] == pytest.approx(-1.8)
    assert figure7.find_hull(formed) == [0, 10, 30, 38]


def test_lowest_energies_of_alloys(tmp_path):
    cells = make_alloys("adam", {0: -10.0, 19: -13.9, 38: -14.0})
    cells += make_alloys("bh-paper", {0: -10.0, 19: -14.0, 38: -13.5})
    cells += make_alloys("bh-paper", {19: -14.5}, steps=500_000)
    study = STUDIES["fig7"]
    title, table, few, few_table = study.format(cells, tmp_path).split("\n\n")
    assert title == "Ag-Au:"
    assert table.splitlines()[2:] == [
        "| `adam` | 3 | 1 | 1.533 | 4.000 | 0 | 2.533 | 3 | 6 |",
        "| `bh-paper` | 3 | 0 | 1.667 | 4.000 | 0 | 2.667 | 3 | 6 |",
        "| `bh-paper x 500,000` | 1 | 1 | 0.000 | 0.000 | 0 | 1.000 | 1 | 2 |",
    ]
    # All optimizers on the composition that was searched longer.
    assert few == "Ag-Au, compositions with longer searches:"
    assert few_table.splitlines()[2] == (
        "| `adam` | 1 | 0 | 0.600 | 0.600 | 0 | 1.600 | 1 | 2 |"
    )
    # One without any sound structure.
    cells[0]["min"] = None
    assert "| `adam` | 2 | 1 |" in study.format(cells, tmp_path)
    cells[0]["min"] = -10.0
    formation, above = figure7.plot(cells).axes
    labels = [line.get_label() for line in above.lines]
    assert labels == ["adam", "bh-paper", "bh-paper x 500,000"]
    assert len(formation.lines) == 5  # and the lowest known ones with their hull


# Table 6


def test_the_paper_is_beside_ours(tmp_path):
    cell = {"system": "LJ-75", "optimizer": "adam", "starts": 10, "hits": 0}
    cell |= {"final_mean": -1.0, "mean": -2.0, "min": -3.0}
    cell |= {"hit_rate": 0.0, "hit_rate_low": 0.0, "hit_rate_high": 0.28}
    _, _, row = STUDIES["table6"].format([cell], tmp_path).splitlines()
    assert row == "| LJ-75 | Adam | -1.00 | -2.00 | -3.00 | 0% [0, 28] | -380.5 |"
    cell["mean"] = None  # diverged
    assert "| Adam | -1.00 | - | -3.00 |" in STUDIES["table6"].format([cell], tmp_path)
