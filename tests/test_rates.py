"""Rates of other systems: counted by a command, used by a search."""

from typing import Any

import jax
import numpy as np
import pytest
from epoch_files import get_groups, repeat, write_epochs

import hopgym
from hopgym.meta import ReplayedUnroll, epochs
from hopgym.meta.epochs import make_epochs
from hopgym.meta.known_rates import learn_rates
from hopgym.meta.rates import main as count
from hopgym.meta.train import main as train
from hopgym.optimizers import load, read_header
from hopgym.optimizers.learned import KNOWING, LearnedSearch, make_untrained, save
from hopgym.optimizers.learned.search import give_rates
from hopgym.optimizers.learned.selection import select_choice

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
    assert header["known_systems"] == list(NAMES)
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


def test_columns_of_a_file_are_found_by_their_names(recorded, tmp_path, capsys):
    """Also if a later version has other groups, in another order."""
    path = tmp_path / "search.eqx"
    assert count(words_of(recorded, path)) == 0
    search: Any = load(path)
    header = read_header(path)
    groups = header["architecture"]["groups"]
    few = {**header["architecture"], "groups": groups[::-1][:-1]}
    departures = {**search.departures}
    departures["rates"] = departures["rates"][:, ::-1][:, :-1]
    other = LearnedSearch(search.make, departures)
    save(path, other, few, {})
    system = hopgym.get_system("LJ-38")
    again: Any = load(path)
    a, b = search.for_system(system), again.for_system(system)
    is_known = np.array([name != groups[0] for name in a.subspaces.names])
    expected = np.where(is_known, a.choice.rates, 0)
    np.testing.assert_array_equal(b.choice.rates, expected)
    save(path, other, {**few, "groups": ["C99", *groups[2:]]}, {})
    with pytest.raises(ValueError, match="unknown point group 'C99'"):
        load(path)


def test_weights_beside_the_rates_are_trained(recorded, tmp_path, capsys):
    path = tmp_path / "search.eqx"
    assert count(words_of(recorded, path)) == 0
    words = ["--systems", "LJ-5", "--strategy", "sep-cma", "--cma-population", "4"]
    words += ["--cma-starts", "2", "--unroll", "100", "--updates", "1"]
    words += ["--loss", "first-hit", "--evaluation-starts", "8"]
    words += ["--start-from", str(path), "--out", str(tmp_path / "run")]
    assert train(words) == 0
    before: Any = load(path)
    after: Any = load(tmp_path / "run" / "weights.eqx")
    rates = (one.departures["rates"] for one in (before, after))
    np.testing.assert_array_equal(*rates)
    assert before.departures["patience"] != after.departures["patience"]
    header = read_header(tmp_path / "run" / "weights.eqx")
    assert header["known_systems"] == list(NAMES) and header["systems"] == ["LJ-5"]
    with pytest.raises(SystemExit):
        train([*words, "--only", "rates", "--out", str(tmp_path / "only")])
    assert "unknown constant 'rates'" in capsys.readouterr().err


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


def test_own_rates_are_not_known(tmp_path):
    """A run of a system makes no use of what is known of it."""
    names = get_groups("LJ-13")
    systems = [hopgym.get_system(name) for name in ("LJ-13", "LJ-14")]
    good = {"LJ-13": "C2", "LJ-14": "C5"}
    for name, group in good.items():
        write_epochs(tmp_path, name, hits=[names.index(group)])
    searches = {}
    for choice in KNOWING:
        search = make_untrained("bh-symmetric", KEY, choice=choice, known=2)
        rates = [{group: 1e-3} for group in good.values()]
        searches[choice] = give_rates(search, rates)
    which = np.array([0, 1])
    tried = {}
    cases = [(choice, tuple(good)) for choice in KNOWING]
    for choice, known in [*cases, ("experience", ())]:
        search = searches[choice]
        trained = select_choice(search)
        unroll = ReplayedUnroll(systems, search, tmp_path, known=known, trained=trained)
        weights = repeat(search, 2)
        runs = unroll.begin(KEY, weights, np.arange(2), which)
        runs = unroll.advance(weights, runs, 50)
        visits = np.asarray(runs.evidence.visits)[:2]
        tried[choice, known] = visits.argmax(1).tolist()
    own = [names.index(group) for group in good.values()]
    assert all(tried[case] == own[::-1] for case in cases)
    assert tried["experience", ()] == [own[0]] * 2
    with pytest.raises(ValueError, match="knows rates of 2 systems, and 1 names"):
        ReplayedUnroll(systems, searches["experience"], tmp_path, known=["LJ-13"])
    single = make_untrained("bh-symmetric", KEY, choice="experience", known=1)
    with pytest.raises(ValueError, match="knows rates of LJ-13 alone"):
        ReplayedUnroll(systems, single, tmp_path, known=["LJ-13"])


def test_rates_are_hits_per_evaluation():
    rows = {
        "inside": np.array([10, 20, 30, 40], np.int32),
        "outside": np.array([5, 5, 0, 10], np.int32),
        "hit": np.array([0, 22, 7, 0], np.int32),
    }
    rows |= {name: np.zeros(4, np.float32) for name in ("energy", "lowest")}
    found = make_epochs(2, rows, np.array([0, 0, 1, 1]))
    np.testing.assert_allclose(epochs.compute_rates(found), [1 / 37, 1 / 57])
    inside = epochs.compute_rates(found, inside=True)
    np.testing.assert_allclose(inside, [1 / 30, 1 / 47])


WORDS = ["--optimizer", "bh-symmetric", "--choice", "network-experience"]
WORDS += ["--strategy", "sep-cma", "--loss", "first-hit", "--unroll", "200"]
WORDS += ["--systems", ",".join(NAMES), "--updates", "2"]
# As many starts in an evaluation as runs in an update: one compiled program.
WORDS += ["--cma-population", "4", "--cma-starts", "2", "--evaluation-starts", "4"]


def test_a_network_is_trained_beside_rates(recorded, tmp_path, capsys):
    out = ["--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit):
        train([*WORDS, *out])
    assert "has to know rates of other systems" in capsys.readouterr().err
    assert train([*WORDS, *out, "--epochs", str(recorded)]) == 0
    trained: Any = load(tmp_path / "run" / "best.eqx")
    rates = np.asarray(trained.departures["rates"])
    for row, name in zip(rates, NAMES, strict=True):
        groups = get_groups(name)
        own = epochs.compute_rates(epochs.read(recorded, name, groups), inside=True)
        assert sorted(row[row > 0]) == pytest.approx(sorted(own[own > 0]))
    resume = [*out, "--resume", "--choice", "network-experience"]
    assert train([*resume, "--updates", "3"]) == 0
    # The network goes on with the rates of other systems.
    others = ["LJ-13", "LJ-14", "LJ-15"]
    for name in others:
        write_epochs(tmp_path / "more", name, hits=[1])
    go_on = ["--start-from", str(tmp_path / "run" / "best.eqx"), *WORDS[4:]]
    go_on += ["--systems", ",".join(others), "--epochs", str(tmp_path / "more")]
    other = ["--out", str(tmp_path / "other"), "--updates", "1", "--cma-sigma", "1e-9"]
    assert train([*go_on, *other]) == 0
    after: Any = load(tmp_path / "other" / "best.eqx")
    assert after.departures["rates"].shape[0] == 3
    networks = (one.departures["choice"].score for one in (trained, after))
    np.testing.assert_allclose(*networks, atol=1e-6)
    header = read_header(tmp_path / "other" / "best.eqx")
    assert header["known_systems"] == others
