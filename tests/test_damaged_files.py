"""Damaged files and those of newer versions: a line, and no allocation."""

import json
import resource

import jax
import pytest

from benchmarks.cells import parse_cell
from benchmarks.store import Store, read_record
from hopgym._schema import check, integer, number
from hopgym.evaluation.columns import ESSENTIAL
from hopgym.meta import train
from hopgym.meta.plan import TrainingPlan
from hopgym.meta.run_folder import RunFolder
from hopgym.meta.strategies import GASettings
from hopgym.meta.trainer import Trainer
from hopgym.optimizers import load, save
from hopgym.optimizers.learned import make_untrained
from hopgym.structure_search import command
from hopgym.structure_search.plan import Plan
from hopgym.structure_search.search import Search
from hopgym.structure_search.search_folder import SearchFolder


def change(content, keys, value):
    """A file whose header has another value at a path of keys."""
    line, _, body = content.partition(b"\n")
    header = json.loads(line)
    inner = header
    for key in keys[:-1]:
        inner = inner[key]
    if value is KeyError:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value
    return json.dumps(header).encode() + b"\n" + body


def refuse(main, capsys, *words):
    """The line with which a command refuses its arguments; it needs little memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SystemExit) as stopped:
        main([str(word) for word in words])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 500_000  # KiB
    return said


@pytest.fixture(scope="module")
def search_file(tmp_path_factory):
    jax.devices()
    folder = SearchFolder(tmp_path_factory.mktemp("search"))
    Search(Plan("LJ-4", "gd", 2, 30, 0, 10), folder, {}).save()
    return (folder.path / "search.eqx").read_bytes()


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["plan", "chunk"], 0, "chunk must be an integer from 1"),
        (["plan", "starts"], 10**9, "starts must be an integer from 1 to 100000"),
        (["plan", "starts"], 100_000, "arrays need"),
        (["plan", "starts"], 2.0, "starts must be"),
        (["plan", "starts"], True, "starts must be"),
        (["plan", "steps"], "many", "steps must be"),
        (["plan", "seed"], -1, "seed must be"),
        (["plan", "system"], 5, "system must be a text"),
        (["plan", "system"], "LJ-0", "LJ-0"),
        (["plan", "optimizer"], "gdd", "gdd"),
        (["plan", "teacher"], "adam", "unknown entry teacher"),
        (["plan", "chunk"], KeyError, "no entry chunk"),
        (["plan"], [], "plan must be an object"),
        (["counts"], [1, 2], "counts must be a list"),
        (["curve"], [[1, 2]], "curve must be a list"),
        (["curve"], 5, "curve must be a list"),
        (["done"], 31, "does not follow"),
        (["collected"], 10, "does not follow"),
        (["minima"], 10**15, "arrays need"),
        (["pairs"], -1, "pairs must be"),
        (["seconds"], None, "seconds must be"),
        (["about"], KeyError, "no entry about"),
    ],
)
def test_checkpoints_of_searches(search_file, capsys, tmp_path, keys, value, message):
    content = change(search_file, keys, value)
    (tmp_path / "search.eqx").write_bytes(content)
    assert message in refuse(command.main, capsys, "--out", tmp_path, "--resume")
    assert (tmp_path / "search.eqx").read_bytes() == content


def test_checkpoints_of_another_search_are_not_overwritten(search_file, tmp_path):
    jax.devices()
    folder = SearchFolder(tmp_path)
    other = Search(Plan("LJ-4", "gd", 2, 30, 1, 10), folder, {})
    (tmp_path / "search.eqx").write_bytes(search_file)
    with pytest.raises(OSError, match="another search by now \\(seed is 0, not 1\\)"):
        other.save()
    assert (tmp_path / "search.eqx").read_bytes() == search_file


@pytest.mark.parametrize("name", ["minima.json", "report.html", "pictures"])
def test_results_of_unknown_origin_are_not_overwritten(name, capsys, tmp_path):
    (tmp_path / name).mkdir()
    said = refuse(command.main, capsys, "LJ4", "--out", tmp_path)
    assert f"holds {name} but no search.eqx" in said
    (tmp_path / "weights.eqx").touch()
    said = refuse(train.main, capsys, "--systems", "LJ-4", "--out", tmp_path)
    assert "holds weights.eqx of another run" in said


@pytest.fixture(scope="module")
def training_plan():
    return TrainingPlan(
        systems=[(0, "LJ-4")],
        unroll=[(0, 20)],
        strategy="ga",
        settings=GASettings(population=2),
        architecture={"name": "adam4p"},
        evaluation_starts=2,
        evaluation_steps=5,
    )


@pytest.fixture(scope="module")
def training_file(training_plan, tmp_path_factory):
    folder = RunFolder(tmp_path_factory.mktemp("training"))
    Trainer(training_plan, folder, {}).save()
    return (folder.path / "checkpoint.eqx").read_bytes()


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["plan", "teacher"], "adam", "unknown entry teacher"),
        (["plan", "settings", "momentum"], 0.9, "unknown entry momentum"),
        (["plan", "settings", "population"], 10**9, "population must be"),
        (["plan", "settings", "sigma"], "wide", "sigma must be a finite number"),
        (["plan", "settings"], 5, "settings must be an object"),
        (["plan", "systems"], ["LJ-4"], "systems must be a list"),
        (["plan", "systems"], [], "must not be empty"),
        (["plan", "unroll"], [[0, 0]], "unroll must be a list"),
        (["plan", "loss"], 5, "loss must be one of"),
        (["plan", "evaluation_starts"], 10**9, "evaluation_starts must be"),
        (["plan", "strategy"], 5, "strategy must be a text"),
        (["plan", "strategy"], "gaa", "unknown strategy"),
        (["plan", "architecture"], {"name": 5}, "name must be a text"),
        (["plan", "architecture"], {}, "no entry name"),
        (["plan", "architecture", "depth"], 10**9, "depth must be an integer"),
        (["plan", "systems"], KeyError, "no entry systems"),
        (["update"], -1, "update must be"),
        (["best"], "low", "best must be"),
        (["runs"], 1, "runs must be true or false"),
    ],
)
def test_checkpoints_of_trainings(
    training_file, capsys, tmp_path, keys, value, message
):
    content = change(training_file, keys, value)
    (tmp_path / "checkpoint.eqx").write_bytes(content)
    assert message in refuse(train.main, capsys, "--out", tmp_path, "--resume")
    assert (tmp_path / "checkpoint.eqx").read_bytes() == content


def test_checkpoints_of_another_training_are_not_overwritten(
    training_plan, training_file, tmp_path
):
    trainer = Trainer(training_plan, RunFolder(tmp_path), {})
    other = change(training_file, ["plan", "seed"], 4)
    (tmp_path / "checkpoint.eqx").write_bytes(other)
    with pytest.raises(OSError, match="another run by now"):
        trainer.save()
    assert (tmp_path / "checkpoint.eqx").read_bytes() == other


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["architecture", "name"], 5, "name must be a text"),
        (["architecture", "name"], [], "name must be a text"),
        (["architecture", "name"], KeyError, "no entry name"),
        (["architecture", "depth"], 10**9, "depth must be an integer from 2 to"),
        (["architecture", "hidden"], 10**9, "hidden must be an integer from 1 to"),
        (["architecture", "hidden"], 1024, "fewer than expected"),
        (["architecture", "hidden"], None, "hidden must be"),
        (["architecture", "features"], 5, "features must be a list"),
        (["architecture", "features"], [], "at least one"),
        (["architecture"], "learn2hop", "architecture must be an object"),
        (["architecture"], KeyError, "no entry architecture"),
        (["format"], [], "has the format"),
    ],
)
def test_weights(tmp_path, keys, value, message):
    path = tmp_path / "own.eqx"
    architecture = {"name": "learn2hop", "hidden": 4, "features": ["gradients"]}
    options = {name: architecture[name] for name in ("hidden", "features")}
    optimizer = make_untrained("learn2hop", jax.random.key(0), **options)
    save(path, optimizer, architecture, {})
    path.write_bytes(change(path.read_bytes(), keys, value))
    with pytest.raises(ValueError, match=message) as refused:
        load(path)
    assert "own.eqx" in str(refused.value)


CELL = dict.fromkeys(ESSENTIAL, 3) | {
    "system": "LJ-4",
    "optimizer": "gd",
    "dtype": "float32",
}
CELL |= {"energies": [-6.0, None, -5.0], "key": dict(CELL)}


def test_valid_cells_are_read():
    assert parse_cell(json.dumps(CELL).encode(), "cell") == CELL


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("energies", 5, "energies must be"),
        ("energies", [1, "low", 2], "energies must be"),
        ("energies", [float("nan")] * 3, "energies must be"),
        ("energies", [1.0], "incomplete"),
        ("first_hit", {}, "first_hit must be"),
        ("curve", [[1, 2]], "curve must be"),
        ("curve", [{"evaluations": 1}], "curve must be"),
        ("mean", "low", "mean must be"),
        ("hits", [], "hits must be"),
        ("starts", "3", "starts must be"),
        ("starts", 10**12, "starts must be"),
        ("system", 5, "system must be a text"),
        ("dtype", "float16", "dtype must be one of"),
        ("reference", True, "reference must be"),
        ("key", 5, "incomplete"),
    ],
)
def test_cells(tmp_path, column, value, message):
    content = json.dumps({**CELL, column: value})
    with pytest.raises(ValueError, match=message):
        parse_cell(content.encode(), "cell")
    (tmp_path / "results.jsonl").write_text(f'{{"meta": {{}}}}\n{content}\n')
    cells, complaints = read_record(tmp_path)
    assert not cells and len(complaints) == 1
    assert complaints[0].startswith("line 2 of results.jsonl")


def test_nesting_is_no_recursion_error():
    with pytest.raises(ValueError, match="cell is broken"):
        parse_cell(b"[" * 100_000, "cell")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("results.csv", "would be overwritten"),
        ("results.jsonl", "line 1 is broken, and it has no cells"),
    ],
)
def test_records_of_unknown_origin_are_not_overwritten(name, message, tmp_path):
    (tmp_path / name).write_text("mine\n")
    with pytest.raises(ValueError, match=message):
        Store(tmp_path)
    assert (tmp_path / name).read_text() == "mine\n"


@pytest.mark.parametrize("value", [True, 1.0, "1", None, 0, 6])
def test_integers_are_integers_within_limits(value):
    with pytest.raises(ValueError, match="file: n must be an integer from 1 to 5"):
        check({"n": value}, {"n": integer(1, 5)}, "file")
    check({"n": 5}, {"n": integer(1, 5)}, "file")


@pytest.mark.parametrize("value", [True, "1", None, float("nan"), float("inf"), -1])
def test_numbers_are_finite(value):
    with pytest.raises(ValueError, match="n must be a finite number"):
        check({"n": value}, {"n": number(0.0)}, "file")
    check({"n": 5}, {"n": number(0.0)}, "file")
