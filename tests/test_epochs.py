"""Recorded epochs, and choices of groups that are trained on them."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from epoch_files import get_groups, repeat, write_epochs

import hopgym
from hopgym.environment import take_step
from hopgym.meta import ReplayedUnroll, SepCMASettings, Trainer, TrainingPlan, epochs
from hopgym.meta import record as recording
from hopgym.meta.epochs import Epochs, make_epochs
from hopgym.meta.replayed_unroll import make_record
from hopgym.meta.train import main as train
from hopgym.optimizers import load
from hopgym.optimizers.base import adapt
from hopgym.optimizers.learned import make_untrained
from hopgym.optimizers.learned.selection import select_choice
from hopgym.optimizers.symmetry.choices.single import Single
from hopgym.optimizers.symmetry.point_groups import FAMILIES, list_point_groups

KEY = jax.random.key(0)
COUNTS = ("inside", "outside", "hit")


# Recording


def test_a_run_is_cut_into_its_epochs():
    # A quench of the start; two epochs, the second with a surface search and the hit.
    passed = {
        "epoch": np.array([0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2]),
        "is_inside": np.array([0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0], bool),
        "is_hop": np.array([0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0], bool),
        "best": np.array([9, 9, 9, -3, -4, -4, -4, -5, -5, -5, -6, -6.0]),
        "energy": np.array([8, 7, 6, -3, -4, -4, 3, -5, -4, -5, -7, -6.0]),
    }
    whole = {**passed, "first_hit": np.full(12, -1)}
    cut = recording._cut(whole)
    assert {name: x.tolist() for name, x in cut.items()} == {
        "energy": [-4], "lowest": [-4], "inside": [3], "outside": [1], "hit": [0],
    }  # fmt: skip
    # The start is the first evaluation: the twelfth is that of the last but one step.
    hit = {**passed, "first_hit": np.array([-1] * 10 + [12, 12])}
    cut = recording._cut(hit)
    assert {name: x.tolist() for name, x in cut.items()} == {
        "energy": [-4, -5], "lowest": [-4, -7], "inside": [3, 3], "outside": [1, 2],
        "hit": [0, 5],
    }  # fmt: skip
    at_once = {**passed, "first_hit": np.full(12, 1)}
    assert all(len(x) == 0 for x in recording._cut(at_once).values())


def test_epochs_are_those_of_searches():
    """Evaluations of hits against runs of the same searches by the environment."""
    system = hopgym.get_system("LJ-8")
    search: Any = make_untrained("bh-symmetric", KEY).for_system(system)
    key = jax.random.key(5)
    found = recording.record(system, search, key, runs=2, steps=600)
    groups = len(search.subspaces.names)
    assert found.first[0] == 0 and found.first[-1] == len(found.hit)
    assert (np.diff(found.first) > 0).all() and len(found.first) == groups + 1
    met = found.hit > 0
    assert 2 <= met.sum() <= 2 * groups
    length = found.inside + found.outside
    np.testing.assert_array_equal(found.hit[met], length[met])
    assert (found.lowest[met] < system.reference + 0.1).all()
    assert (found.lowest[~met] > system.reference + 1e-3).all()
    assert (found.lowest <= found.energy + 1e-5).all()
    # The same searches alone: all evaluations but those of the starts are of epochs.
    both = [g for g in range(groups) if met[slice(*found.first[g : g + 2])].sum() == 2]
    group = both[0]
    rules = eqx.tree_at(lambda r: r.walk_share, search.rules, jnp.zeros(()))
    single = dataclasses.replace(search, rules=rules, choice=Single(group))
    environment = hopgym.Environment(system)

    @jax.jit
    def follow(key):
        start_key, key = jax.random.split(key)
        start = system.sample(start_key)
        opt_state = single.init(start, key=key, context=environment.context)
        run = environment.reset(key, start), opt_state
        run = jax.lax.fori_loop(
            0, 600, lambda _, run: take_step(environment, single, *run), run
        )
        return run[0].first_hit

    keys = jax.random.split(key, 2 * groups)[2 * group : 2 * group + 2]
    spent = sum(int(follow(key)) - 1 for key in keys)
    assert length[slice(*found.first[group : group + 2])].sum() == spent


def test_the_command_leaves_out_what_the_folder_has(tmp_path, capsys):
    words = ["--systems", "LJ-5,LJ-6", "--runs", "2", "--steps", "400"]
    words += ["--out", str(tmp_path)]
    assert recording.main(words) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(before) == ["LJ-5.epochs", "LJ-6.epochs"]
    (tmp_path / "LJ-6.epochs").unlink()
    capsys.readouterr()
    assert recording.main(words) == 0
    assert "LJ-5.epochs exists" in capsys.readouterr().err
    # Whatever systems are recorded together, the same epochs.
    assert epochs.read(tmp_path, "LJ-6", get_groups("LJ-6")).hit.any()
    body = (tmp_path / "LJ-6.epochs").read_bytes().partition(b"\n")[2]
    assert body == before["LJ-6.epochs"].partition(b"\n")[2]


@pytest.mark.parametrize(
    "words, message",
    [
        (["--systems", "Lj5"], "unknown system"),
        (["--systems", "Gupta-Au55-table4"], "no reference energy"),
        (["--systems", "LJ-5", "--search", "none.eqx"], "no file"),
        (["--systems", "LJ-5", "--search", "learn2hop-lj13-ga"], "chooses no groups"),
        (["--systems", "LJ-5", "--steps", "9"], "no whole epoch"),
    ],
)
def test_bad_input_of_the_command(words, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        recording.main([*words, "--runs", "1", "--out", str(tmp_path / "new")])
    assert stop.value.code == 2 and message in capsys.readouterr().err


# Replay


def test_replayed_runs_spend_what_their_epochs_did(tmp_path):
    system = hopgym.get_system("LJ-13")
    energy = float(system.reference) + 5
    write_epochs(tmp_path, "LJ-13", length=10, energy=energy, hits=[0])
    search = make_untrained("bh-symmetric", KEY)
    unroll = ReplayedUnroll([system], search, tmp_path, trained=select_choice(search))
    weights = repeat(search, 3)
    runs = unroll.begin(KEY, weights, np.array([0, 1, 0]), np.zeros(3))
    runs = unroll.advance(weights, runs, 100)
    # Promising epochs, and 12 % for the ordinary basin hopping: 17 each.
    assert runs.evaluations[:3].tolist() == [102] * 3
    assert runs.epochs[:3].tolist() == [6] * 3
    visits = np.asarray(runs.evidence.visits)[:3]
    assert (visits.sum(1) == 6).all()
    np.testing.assert_array_equal(visits[0], visits[2])
    losses = unroll.losses(runs, 3, 100, "first-hit")
    np.testing.assert_allclose(losses, 1 - 0.3 * np.exp(-1), rtol=1e-4)


def test_hits_of_replayed_runs(tmp_path):
    system = hopgym.get_system("LJ-13")
    groups = len(get_groups("LJ-13"))
    write_epochs(tmp_path, "LJ-13", length=10, hits=range(groups))
    search = make_untrained("bh-symmetric", KEY, choice="uniform")
    unroll = ReplayedUnroll([system], search, tmp_path, trained=select_choice(search))
    rows = 400
    weights = repeat(search, rows)
    runs = unroll.begin(KEY, weights, np.arange(rows), np.zeros(rows))
    for _ in range(4):
        runs = unroll.advance(weights, runs, 100)
    first = np.asarray(runs.first_hit)[:rows]
    assert (first > 0).mean() == 1
    # The chance of an epoch is one half; the hit is its eighth evaluation.
    kinds, counts = np.unique((first - 8) / 17, return_counts=True)
    np.testing.assert_array_equal(kinds, np.arange(len(kinds)))
    assert counts[0] / rows == pytest.approx(0.5, abs=0.1)
    assert counts[1] / rows == pytest.approx(0.25, abs=0.09)
    losses = unroll.losses(runs, rows, 30, "first-hit")
    is_early = first <= 30
    np.testing.assert_allclose(losses[is_early], np.log(first[is_early] / 31), 1e-5)
    assert 0 < is_early.mean() < 1 and (losses[~is_early] >= 0.7).all()


def test_epochs_of_several_systems(tmp_path):
    """Every run plays the epochs of its system."""
    systems = [hopgym.get_system(name) for name in ("LJ-13", "LJ-14")]
    for system, length in zip(systems, (10, 40), strict=True):
        energy = float(system.reference) + 5
        write_epochs(tmp_path, system.name, length=length, energy=energy, hits=[0])
    search = make_untrained("bh-symmetric", KEY, choice="network")
    unroll = ReplayedUnroll(systems, search, tmp_path, trained=select_choice(search))
    weights, which = repeat(search, 4), np.array([0, 1, 1, 0])
    runs = unroll.begin(KEY, weights, np.arange(4), which)
    runs = unroll.advance(weights, runs, 100)
    np.testing.assert_array_equal(runs.evaluations[:4], [102, 136, 136, 102])
    traits = np.asarray(make_record(systems, search, tmp_path).traits)
    for k, system in enumerate(systems):
        choice = adapt(search, system).choice
        np.testing.assert_array_equal(traits[k], choice.traits)
    with pytest.raises(ValueError, match="LJ-5: other groups than LJ-13"):
        write_epochs(tmp_path, "LJ-5")
        other = hopgym.get_system("LJ-5")
        ReplayedUnroll([systems[0], other], search, tmp_path)


def test_withheld_hits_do_not_count(tmp_path):
    """Of a system whose minimum two families find, and of one that has only one."""
    names = get_groups("LJ-13")
    families = {group.name: group.family for group in list_point_groups()}
    good = {"LJ-13": ("C5", "C3"), "LJ-14": ("C5",)}
    for name, groups in good.items():
        kinds = [families[group] for group in groups]
        hits = [k for k, group in enumerate(names) if families[group] in kinds]
        write_epochs(tmp_path, name, hits=hits)
    systems = [hopgym.get_system(name) for name in good]
    search = make_untrained("bh-symmetric", KEY, choice="uniform")
    trained = select_choice(search)
    rows = 600
    weights = repeat(search, rows)
    shares = []
    for withheld in (0.0, 0.8):
        unroll = ReplayedUnroll(
            systems, search, tmp_path, withheld=withheld, trained=trained
        )
        which = np.repeat([0, 1], rows // 2)
        runs = unroll.begin(KEY, weights, np.arange(rows), which)
        family = np.asarray(runs.withheld)[:rows]
        shares.append([np.mean(family[which == k] >= 0) for k in range(2)])
        runs = unroll.advance(weights, runs, 20_000)
        assert (np.asarray(runs.first_hit)[:rows] > 0).all()
        # Withheld groups were tried as others, without an end of the run.
        visits = np.asarray(runs.evidence.visits)[:rows]
        kinds = np.array([FAMILIES.index(families[name]) for name in names])
        for k, kind in enumerate(family):
            if kind >= 0:
                assert visits[k, kinds != kind].sum() > 0
    assert shares[0] == [0, 0]
    assert shares[1][0] == pytest.approx(0.8, abs=0.08)
    # That of the only family with the minimum is never withheld.
    assert shares[1][1] == pytest.approx(0.6, abs=0.09)


def test_the_choice_is_trained_and_nothing_else(tmp_path):
    """Groups that find the minimum become likelier than others."""
    good = get_groups("LJ-13").index("C2")
    folder = tmp_path / "epochs"
    write_epochs(folder, "LJ-13", hits=[good])
    plan = TrainingPlan(
        systems=[(0, "LJ-13")],
        unroll=[(0, 3000)],
        strategy="sep-cma",
        settings=SepCMASettings(cma_population=8, cma_starts=32, cma_sigma=1.0),
        loss="first-hit",
        architecture={"name": "bh-symmetric", "choice": "network", "hidden": 4},
        epochs=str(folder),
    )
    trainer = Trainer(plan, None, {})
    before = trainer.optimizer
    losses = [trainer.step()["loss"] for _ in range(20)]
    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 1
    flags = jax.tree.leaves(select_choice(before))
    pairs = zip(
        jax.tree.leaves(before), jax.tree.leaves(trainer.optimizer), strict=True
    )
    same = [np.array_equal(a, b) for a, b in pairs]
    assert same == [not flag for flag in flags]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded") / "epochs"
    for name in ("LJ-13", "LJ-14"):
        write_epochs(folder, name, hits=[0])
    return folder


WORDS = ["--optimizer", "bh-symmetric", "--choice", "thompson", "--strategy", "sep-cma"]
WORDS += ["--systems", "LJ-13,LJ-14", "--unroll", "200", "--updates", "2"]
WORDS += ["--loss", "first-hit", "--cma-population", "4", "--cma-starts", "2"]
# As many starts in an evaluation as runs in an update: one compiled program.
WORDS += ["--evaluation-starts", "4"]


def test_train_and_go_on_with_another_choice(recorded, tmp_path, capsys):
    words = [*WORDS, "--epochs", str(recorded), "--withheld", "0.5"]
    assert train([*words, "--out", str(tmp_path / "run")]) == 0
    trained: Any = load(tmp_path / "run" / "weights.eqx")
    resume = ["--out", str(tmp_path / "run"), "--resume"]
    assert train([*resume, "--updates", "3", "--epochs", str(recorded)]) == 0
    with pytest.raises(SystemExit):
        train([*resume, "--withheld", "0"])
    assert "withheld is 0.5, not 0.0" in capsys.readouterr().err
    more = ["--start-from", str(tmp_path / "run" / "weights.eqx"), "--choice", "ucb"]
    more += ["--out", str(tmp_path / "ucb"), *WORDS[4:], "--epochs", str(recorded)]
    assert train(more) == 0
    other: Any = load(tmp_path / "ucb" / "weights.eqx")
    assert (trained.make.choice, other.make.choice) == ("thompson", "ucb")


@pytest.mark.parametrize(
    "words, message",
    [
        (["--systems", "LJ-7"], "has no epochs of LJ-7: record them with"),
        (["--loss", "best"], "epochs are for the losses first-hit and hit-share"),
        (["--choice", "best"], "unknown choice 'best'"),
        (["--choice", "experience"], "count rates with python -m hopgym.meta.rates"),
        (["--withheld", "2"], "withheld must be from 0 to 1"),
        (["--only", "loose"], "not single constants"),
        (["--rates", "runs/epochs"], "only one of them can be given"),
        (["--evaluation-systems", "LJ-4"], "has no epochs of LJ-4"),
    ],
)
def test_bad_input_of_trainings(words, message, recorded, tmp_path, capsys):
    out = ["--epochs", str(recorded), "--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as stop:
        train([*WORDS, *out, *words])
    assert stop.value.code == 2 and message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_only_searches_that_choose_groups(recorded, tmp_path, capsys):
    words = ["--optimizer", "bh-lbfgs", *WORDS[4:], "--epochs", str(recorded)]
    with pytest.raises(SystemExit):
        train([*words, "--out", str(tmp_path / "run")])
    assert "only bh-symmetric chooses groups" in capsys.readouterr().err


def list_moved(path):
    """Names of the constants that are not those of the zoo."""
    search: Any = load(path)
    return {
        name
        for name, values in search.departures.items()
        if any(np.any(x) for x in jax.tree.leaves(values))
    }


def test_the_rules_of_epochs_are_trained(recorded, tmp_path, capsys):
    words = [*WORDS[:2], *WORDS[4:], "--systems", "LJ-13", "--rates", str(recorded)]
    words += ["--evaluation-starts", "8"]
    assert train([*words, "--out", str(tmp_path / "run")]) == 0
    moved = list_moved(tmp_path / "run" / "weights.eqx")
    assert "patience" in moved and not {"exploration", "walk_share"} & moved
    assert not any(name.startswith("prior") for name in moved)
    few = [*words, "--only", "loose,pressure", "--out", str(tmp_path / "few")]
    assert train(few) == 0
    assert list_moved(tmp_path / "few" / "weights.eqx") == {"loose", "pressure"}
    for more, message in (
        (["--systems", "LJ-7"], "has no epochs of LJ-7"),
        (["--withheld", "0.5"], "of recorded epochs only"),
        (["--only", "losse"], "unknown constant 'losse'"),
        (["--only", "loose", "--optimizer", "adam4p"], "only searches have constants"),
        (["--loss", "best"], "no epoch met"),
    ):
        write_epochs(tmp_path / "vain", "LJ-13")
        folder = ["--rates", str(tmp_path / "vain")] if "best" in more else []
        with pytest.raises(SystemExit):
            train([*words, *folder, *more, "--out", str(tmp_path / "other")])
        assert message in capsys.readouterr().err


def test_epochs_of_other_groups(tmp_path):
    header = {"system": "LJ-5", "groups": ["C1"]}
    rows = {name: np.ones(1, np.int32) for name in COUNTS}
    rows |= {name: np.ones(1, np.float32) for name in ("energy", "lowest")}
    found = make_epochs(1, rows, np.zeros(1, np.int32))
    assert isinstance(found, Epochs)
    epochs.write(tmp_path / "LJ-5.epochs", found, header)
    with pytest.raises(ValueError, match="other groups"):
        epochs.read(tmp_path, "LJ-5", get_groups("LJ-5"))
    path = tmp_path / "LJ-5.epochs"
    rows["inside"] = rows["outside"] = np.zeros(1, np.int32)
    empty = make_epochs(1, rows, np.zeros(1, np.int32))
    epochs.write(path, empty, header)
    with pytest.raises(ValueError, match="epochs without evaluations"):
        epochs.read(tmp_path, "LJ-5", ["C1"])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="damaged"):
        epochs.read(tmp_path, "LJ-5", ["C1"])
