"""Rates of other systems: counted by a command, used by a search."""

from typing import Any

import jax
import numpy as np
import pytest
from epoch_files import get_groups, write_epochs

import hopgym
from hopgym.meta import epochs
from hopgym.meta.known_rates import learn_rates
from hopgym.meta.rates import main as count
from hopgym.meta.train import main as train
from hopgym.optimizers import load, read_header
from hopgym.optimizers.learned import make_untrained

NAMES = ("LJ-13", "LJ-14")
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """The minimum of each system is met by one group."""
    folder = tmp_path_factory.mktemp("recorded") / "epochs"
    for name, group in (("LJ-13", "C5"), ("LJ-14", "C3"), ("LJ-15", "C5")):
        write_epochs(folder, name, hits=[get_groups(name).index(group)])
    return folder


def words_of(recorded, path):
    words = ["--systems", ",".join(NAMES), "--epochs", str(recorded)]
    return [*words, "--out", str(path)]


def test_the_command(recorded, tmp_path, capsys):
    path = tmp_path / "new" / "search.eqx"
    more = ["--evaluation-systems", "LJ-15", "--evaluation-starts", "20"]
    assert count([*words_of(recorded, path), *more]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("LJ-15: first hits -") and "hits 20/20" in printed[0]
    header = read_header(path)
    assert header["systems"] == list(NAMES)
    assert header["evaluation"]["LJ-15"]["hits"] == 20
    search: Any = load(path)
    for row, name in zip(search.departures["rates"], NAMES, strict=True):
        own = epochs.read(recorded, name, get_groups(name))
        counted = epochs.compute_rates(own, inside=True)
        assert sorted(row[row > 0]) == pytest.approx(sorted(counted[counted > 0]))
    own: Any = search.for_system(hopgym.get_system("LJ-38"))
    environment = hopgym.Environment(hopgym.get_system("LJ-38"))
    rollout = hopgym.Rollout(environment, own, KEY, 2)
    rollout.advance(300)
    visits = np.asarray(rollout.arrays()[1].progress.evidence.visits)
    tried = {own.subspaces.names[k] for k in np.flatnonzero(visits.sum(0))}
    assert tried <= {"C5", "C3"}


def test_constants_of_another_training_stay(recorded, tmp_path, capsys):
    path = tmp_path / "search.eqx"
    words = [*words_of(recorded, path), "--start-from", "bh-learned"]
    assert count(words) == 0
    old: Any = load("bh-learned")
    new: Any = load(path)
    for name in set(new.departures) - {"rates"}:
        same = np.array_equal(old.departures[name], new.departures[name])
        assert same, name
    architecture = read_header(path)["architecture"]
    assert architecture["choice"] == "experience" and architecture["quench_end"]


def test_other_records(recorded, tmp_path):
    """Epochs that are drawn again: the same with the same seed."""
    systems = [hopgym.get_system(name) for name in NAMES]
    search = make_untrained("bh-symmetric", KEY, choice="experience", known=2)
    tables = [
        np.asarray(learn_rates(search, systems, recorded, seed).departures["rates"])
        for seed in (None, *range(8), 0)
    ]
    np.testing.assert_array_equal(tables[1], tables[-1])
    assert all((table.any(axis=1)).all() for table in tables)
    assert len({table.tobytes() for table in tables}) > 1


def test_weights_beside_the_rates_are_trained(recorded, tmp_path, capsys):
    path = tmp_path / "search.eqx"
    assert count(words_of(recorded, path)) == 0
    words = ["--systems", "LJ-5", "--strategy", "sep-cma", "--cma-population", "4"]
    words += ["--cma-starts", "2", "--unroll", "100", "--updates", "1"]
    words += ["--loss", "first-hit", "--evaluation-starts", "2"]
    words += ["--start-from", str(path), "--out", str(tmp_path / "run")]
    assert train(words) == 0
    before: Any = load(path)
    after: Any = load(tmp_path / "run" / "weights.eqx")
    rates = (one.departures["rates"] for one in (before, after))
    np.testing.assert_array_equal(*rates)
    assert before.departures["patience"] != after.departures["patience"]


@pytest.mark.parametrize(
    "words, message",
    [
        (["--systems", "LJ-7"], "has no epochs of LJ-7: record them with"),
        (["--systems", "Lj7"], "unknown system"),
        (["--evaluation-systems", "LJ-4"], "has no epochs of LJ-4"),
        (["--withheld", "2", "--evaluation-systems", "LJ-15"], "withheld must be"),
        (["--start-from", "none.eqx"], "no file"),
        (["--start-from", "learn2hop-lj13-ga"], "only bh-symmetric chooses groups"),
    ],
)
def test_bad_input(words, message, recorded, tmp_path, capsys):
    path = tmp_path / "search.eqx"
    with pytest.raises(SystemExit) as stop:
        count([*words_of(recorded, path), *words])
    assert stop.value.code == 2 and message in capsys.readouterr().err
    assert not path.exists()
