"""Meta-training as a user runs it: files, interruptions, several processes."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
import pytest

from hopgym import Environment, get_system, rollout
from hopgym.meta import STRATEGIES, Trainer, TrainingPlan, train
from hopgym.meta.command_line import load_plan
from hopgym.meta.plan import get_names
from hopgym.meta.run_folder import RunFolder
from hopgym.meta.strategies import SepCMASettings
from hopgym.optimizers import Learn2Hop, load

# As many starts in an evaluation as runs in an update: one compiled program.
TINY = ["--systems", "LJ-4", "--unroll", 20, "--instances", 4, "--hidden", 4]
TINY += ["--polish", 5, "--evaluation-starts", 12, "--evaluate-every", 2]
TINY += ["--checkpoint-every", 0.001]


def command(*arguments):
    return [sys.executable, "-m", "hopgym.meta.train", *map(str, arguments)]


def run(*arguments):
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=300
    )


def metrics(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    timing = ("seconds", "elapsed", "steps_per_second")
    entries = [json.loads(line) for line in lines]
    return [{k: v for k, v in e.items() if k not in timing} for e in entries]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = run(*TINY, "--updates", 6, "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_a_run_leaves_weights_metrics_and_a_figure(whole):
    folder, done = whole
    assert "update 6/6" in done.stderr and "hits" in done.stderr
    entries = metrics(folder)
    losses = [entry for entry in entries if "loss" in entry]
    assert [entry["update"] for entry in losses] == [1, 2, 3, 4, 5, 6]
    checks = [entry for entry in entries if "evaluation" in entry]
    assert [entry["update"] for entry in checks] == [0, 2, 4, 6]
    cell = checks[0]["evaluation"]["LJ-4"]
    assert cell["starts"] == 12 and -1.01 < cell["best_loss"] <= 0
    assert (folder / "progress.png").read_bytes().startswith(b"\x89PNG")
    for name in ("weights", "best"):
        optimizer = load(folder / f"{name}.eqx")
        assert isinstance(optimizer, Learn2Hop)
        assert optimizer.network.output.shape == (4, 2)
    trained = load(folder / "weights.eqx")
    assert isinstance(trained, Learn2Hop) and np.any(trained.network.output != 0)
    header = json.loads((folder / "weights.eqx").read_bytes().partition(b"\n")[0])
    assert header["architecture"]["hidden"] == 4
    assert header["systems"] == ["LJ-4"] and header["updates"] == 6
    assert "--hidden 4" in header["command"]
    assert header["versions"]["jax"] == jax.__version__


def test_a_killed_run_goes_on_to_the_same_weights(whole, tmp_path, launch):
    folder = tmp_path / "run"
    words = command(*TINY, "--updates", 6, "--out", folder)
    process = launch(words, stderr=subprocess.DEVNULL)
    deadline = time.time() + 300
    while time.time() < deadline:
        log = folder / "metrics.jsonl"
        if log.exists() and log.read_text().count('"loss"') >= 2:
            break
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = run("--out", folder, "--resume")
    assert done.returncode == 0, done.stderr
    for name in ("weights.eqx", "best.eqx"):
        assert eqx.tree_equal(load(folder / name), load(whole[0] / name))
    assert metrics(folder) == metrics(whole[0])


def test_a_time_limit_and_a_signal_end_cleanly(whole, tmp_path, launch):
    folder = tmp_path / "run"
    limit = ["--updates", 10**6, "--time-limit", 3]
    done = run(*TINY, *limit, "--out", folder)
    assert done.returncode == 1
    assert "time limit reached" in done.stderr and "--resume" in done.stderr
    before = RunFolder(folder).read_header()["update"]
    words = command("--out", folder, "--resume")
    process = launch(words, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "resuming after update" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1 and "stopped after update" in said
    assert RunFolder(folder).read_header()["update"] >= before


def plan(strategy, **changes):
    chosen = STRATEGIES[strategy]
    values = {"instances": 4, "population": 3, "unroll": 20, "truncation": 10}
    own = {k: v for k, v in values.items() if k in get_names(chosen)}
    usual = {
        "systems": [(0, "LJ-4")],
        "unroll": [(0, 20)],
        "strategy": strategy,
        "settings": chosen.settings_class(**own),
        "loss": "average",
        "polish": 5,
        "architecture": {"name": "adam4p"},
        "evaluation_starts": 2,
        "evaluation_steps": 5,
    }
    return TrainingPlan(**{**usual, **changes})


@pytest.mark.parametrize("strategy", ["ga", "pes"])
def test_a_restored_trainer_goes_on_bit_for_bit(strategy, tmp_path):
    whole = Trainer(plan(strategy), None, {})
    parts = Trainer(plan(strategy), RunFolder(tmp_path), {})
    parts.unrolls = whole.unrolls  # compiled once
    for _ in range(3):
        whole.step()
        parts.step()
    parts.save()
    again = Trainer(plan(strategy), RunFolder(tmp_path), {})
    again.unrolls = whole.unrolls
    again.restore()
    entries = [trainer.step()["loss"] for trainer in (whole, again)]
    assert entries[0] == entries[1]
    assert eqx.tree_equal(whole.state, again.state)


def test_what_a_checkpoint_does_not_know_is_forgotten(tmp_path):
    """Killed between an evaluation and the checkpoint that would know of it."""
    folder = RunFolder(tmp_path)
    lines = [{"update": 0, "evaluation": {}}, {"update": 1, "loss": -0.1}]
    lines += [{"update": 2, "loss": -0.2}, {"update": 2, "evaluation": {}}]
    for line in [*lines, {"update": 3, "loss": -0.3}]:
        folder.log(line)
    folder.discard_after(2, evaluated=2)
    assert folder.read_metrics() == lines
    folder.discard_after(2, evaluated=0)
    assert folder.read_metrics() == lines[:3]
    folder.discard_after(0, evaluated=-1)
    assert folder.read_metrics() == []


def test_systems_join_and_unrolls_grow_in_the_course_of_a_training():
    changing = plan(
        "esmc", systems=[(0, "LJ-4"), (1, "LJ-5")], unroll=[(0, 10), (1, 20)]
    )
    trainer = Trainer(changing, None, {})
    assert trainer.step()["unroll"] == 10
    # Four starts, each for both perturbed weights and the unperturbed ones.
    assert {k: len(rows) for k, rows in trainer._get_rows().items()} == {0: 6, 1: 6}
    assert trainer.step()["unroll"] == 20


SOME = [{"name": name} for name in ("learn2hop", "mlp-opt", "fire6p", "bh-step")]
SOME += [{"name": "bh-symmetric", "choice": "network"}]


@pytest.mark.parametrize("architecture", SOME, ids=lambda one: one["name"])
def test_every_architecture_can_be_trained_and_loaded(architecture, tmp_path):
    trainer = Trainer(plan("es", architecture=architecture), RunFolder(tmp_path), {})
    before = trainer.optimizer
    trainer.step()
    trainer.save()
    found = load(tmp_path / "weights.eqx")
    assert eqx.tree_equal(found, trainer.optimizer)
    assert jax.tree.structure(found) == jax.tree.structure(before)


def test_searches_are_trained_on_first_hits_and_judged_on_other_systems(tmp_path):
    trainer = Trainer(
        plan(
            "sep-cma",
            systems=[(0, "LJ-4")],
            evaluation_systems=["LJ-5"],
            settings=SepCMASettings(cma_population=4, cma_starts=2),
            unroll=[(0, 60)],
            loss="first-hit",
            architecture={"name": "bh-lbfgs"},
            evaluation_steps=300,
        ),
        RunFolder(tmp_path),
        {},
    )
    entry = trainer.step()
    assert np.log(1 / 61) <= entry["loss_min"] <= entry["loss"] <= 1
    found = trainer.evaluate()
    assert list(found) == ["LJ-5"] and found["LJ-5"]["hits"] == 2
    assert trainer.best == found["LJ-5"]["first_hit_loss"] < 0
    trained = load(tmp_path / "best.eqx")
    result = rollout(Environment(get_system("LJ-6")), trained, jax.random.key(0), 2, 9)
    assert np.isfinite(result.state.best_energy).all()


WRONG = [
    (["--strategy", "cma"], "unknown strategy 'cma'"),
    (["--strategy", "emsc"], "did you mean 'esmc'"),
    (["--features", "gradients,radil"], "unknown feature 'radil'"),
    (["--systems", "LJ-1"], "LJ-1"),
    (["--systems", "Lj13"], "unknown system"),
    (["--systems", "LJ-13@5"], "no entry for update 0"),
    (["--unroll", "0"], "--unroll: must be between 1 and"),
    (["--unroll", "many"], "'many' is not an integer"),
    (["--optimizer", "learn2hip"], "unknown architecture"),
    (["--optimizer", "adam4p", "--hidden", "8"], "no option 'hidden'"),
    (["--updates", "0"], "--updates: must be between 1 and"),
    (["--sigma", "0"], "--sigma: must be positive"),
    (["--instances", "0"], "--instances: must be between 1 and"),
    (["--time-limit", "-1"], "must be positive"),
    (["--seed", "-1"], "--seed"),
    (["--start-from", "nothing.eqx"], "no file"),
    (["--strategy", "pes", "--unroll", "20,40@2"], "cannot change"),
    (["--process", "0"], "go together"),
    (["--coordinator", "x:1", "--processes", "2", "--process", "2"], "below"),
    (["--resume"], "holds no run"),
    (["--evaluation-systems", "Lj13"], "unknown system"),
    (
        ["--loss", "first-hit", "--systems", "Gupta-Au55-table4"],
        "Gupta-Au55-table4 has no reference energy",
    ),
    (["--strategy", "pes", "--loss", "first-hit"], "have no first hits"),
    (["--evaluation-systems", ","], "needs at least one name"),
    (["--optimizer", "bh-lbfgs", "--hidden", "8"], "'hidden'; it has quench_end"),
    (["--optimizer", "bh-two-phase", "--hidden", "8"], "'hidden'; it has none"),
    (["--strategy", "sep-cma", "--cma-population", "3"], "must be at least 4"),
    (["--loss", "last"], "invalid choice"),
    (
        ["--strategy", "ga", "--instances", "4"],
        "ga has no option --instances; it has --population, --sigma, --ga-starts",
    ),
    (["--truncation", "9"], "esmc has no option --truncation; it has --instances, "),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_nonsense_is_refused_in_one_line(arguments, message, tmp_path, capsys):
    jax.devices()
    out = tmp_path / "run"
    with pytest.raises(SystemExit) as stopped:
        train.main(["--out", str(out), *arguments])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert not out.exists()


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        train.main([str(argument) for argument in arguments])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_another_run_in_the_folder_is_not_touched(whole, capsys, tmp_path):
    folder, _ = whole
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert "holds a run" in refused(capsys, "--out", folder, *TINY)
    said = refused(capsys, "--out", folder, "--resume", "--sigma", 0.2, "--seed", 4)
    assert "seed is 0, not 4" in said and "sigma is 0.1, not 0.2" in said
    said = refused(capsys, "--out", folder, "--resume", "--hidden", 8)
    assert "architecture" in said
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_damaged_checkpoint_is_refused_and_kept(whole, capsys, tmp_path):
    content = (whole[0] / "checkpoint.eqx").read_bytes()
    path = tmp_path / "checkpoint.eqx"
    path.write_bytes(content[:-10])
    assert "is damaged" in refused(capsys, "--out", tmp_path, "--resume")
    path.write_bytes(content.replace(b'"hidden": 4', b'"hidden": 5'))
    said = refused(capsys, "--out", tmp_path, "--resume")
    assert "do not fit this architecture" in said
    assert path.read_bytes() == content.replace(b'"hidden": 4', b'"hidden": 5')
    path.write_bytes(content.replace(b'"evaluated"', b'"looked_at"'))
    said = refused(capsys, "--out", tmp_path, "--resume")
    assert "has no entry evaluated: it was written by another version" in said


def test_committed_checkpoints_can_be_gone_on_from(tmp_path):
    """They have all that this version asks for, and are its own to replace."""
    results = Path(__file__).parents[1] / "benchmarks/results/training"
    found = list(results.rglob("checkpoint.eqx"))
    assert found
    for path in found:
        folder = RunFolder(path.parent)
        header = folder.read_header()
        assert header["update"] > 0
        plan = load_plan(folder, {"strategy": "esmc", "sigma": 0.1})
        stored, settings = header["plan"], plan.to_json()["settings"]
        assert settings == {name: stored["settings"][name] for name in settings}
        added = {"epochs": None, "withheld": 0, "rates": None, "only": []}
        added |= {"evaluation_systems": [], "settings": settings}
        assert plan.to_json() == {**stored, **added}
        shutil.copy(path, tmp_path)
        copied = RunFolder(tmp_path)
        copied.write_checkpoint({**header, "plan": plan.to_json()}, ())
        assert copied.read_header()["plan"] == plan.to_json()


@pytest.mark.parametrize(
    ("entry", "addition"),
    [('"settings": {', '"momentum": 0.9, '), ('"plan": {', '"teacher": "adam", ')],
)
def test_plans_of_newer_versions_are_refused(whole, capsys, tmp_path, entry, addition):
    content = (whole[0] / "checkpoint.eqx").read_bytes()
    newer = content.replace(entry.encode(), (entry + addition).encode())
    (tmp_path / "checkpoint.eqx").write_bytes(newer)
    said = refused(capsys, "--out", tmp_path, "--resume")
    assert addition.split('"')[1] in said and "another version of hopgym" in said


# Several processes


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def together(launch, folder, *arguments):
    """Two processes that train together."""
    words = [*TINY, *arguments, "--out", folder, "--processes", 2]
    words += ["--coordinator", f"127.0.0.1:{free_port()}", "--process"]
    options = {"stderr": subprocess.PIPE, "text": True}
    options["env"] = {**os.environ, "JAX_PLATFORMS": "cpu"}
    return [launch(command(*words, k), **options) for k in range(2)]


def test_two_processes_give_what_one_gives(whole, tmp_path, launch):
    folder = tmp_path / "run"
    both = together(launch, folder, "--updates", 6)
    said = [process.communicate(timeout=300)[1] for process in both]
    assert "6 updates done" in said[0], said
    alone, shared = (load(f / "weights.eqx") for f in (whole[0], folder))
    for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(shared), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-3)


def test_when_one_process_dies_the_other_ends_and_says_so(tmp_path, launch):
    folder = tmp_path / "run"
    first, second = together(launch, folder, "--updates", 10**6)
    log = folder / "metrics.jsonl"
    deadline = time.time() + 300
    while not (log.exists() and '"loss"' in log.read_text()):
        assert time.time() < deadline and first.poll() is None
        time.sleep(0.1)
    second.kill()
    second.communicate()
    _, said = first.communicate(timeout=200)
    assert first.returncode != 0
    assert "another process" in said or "coordination service" in said.lower(), said
    done = run("--out", folder, "--resume", "--time-limit", 0.1)
    assert done.returncode == 1 and "resume with" in done.stderr
