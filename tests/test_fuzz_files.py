"""Any file and any command line: what is wrong with it is said in one line."""

import dataclasses
import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from fuzzing import altered, damaged, fuzz
from hypothesis import strategies as st

import hopgym.optimizers
from benchmarks import run, runner, store, sweep
from hopgym._cli.arguments import MAX_COUNT, MAX_STARTS
from hopgym.chemistry import read_extxyz, write_extxyz
from hopgym.meta import command_line, train
from hopgym.meta.plan import TrainingPlan
from hopgym.meta.run_folder import CHECKPOINT, RunFolder
from hopgym.optimizers import AbstractOptimizer
from hopgym.structure_search import command, make_search
from hopgym.structure_search.plan import Plan
from hopgym.structure_search.search_folder import CHECKPOINT as SEARCH
from hopgym.structure_search.search_folder import SearchFolder

pytestmark = pytest.mark.usefixtures("unchecked")  # as for users

WEIGHTS = Path(hopgym.optimizers.__file__).parent / "weights" / "adam4p-lj13.eqx"
RECORD = Path(store.__file__).parent / "results" / "paper" / store.RECORD


def read_or_complain(read, path):
    """What was read; `None` if a message of one line says what is wrong."""
    try:
        return read(path)
    except (ValueError, KeyError) as error:
        message = str(error.args[0])
        assert message and "\n" not in message
        return None


def sealed(header, body=b""):
    """A file of hopgym with a header and the right checksum."""
    digest = hashlib.sha256(body).hexdigest()
    return json.dumps({"format": "hopgym-1"} | header | {"sha256": digest}).encode() + (
        b"\n" + body
    )


def files_of(header):
    """Anything, a damaged file with a header and plan, or one with altered entries."""
    return (
        st.binary(max_size=64)
        | damaged(sealed(header))
        | altered(header).map(sealed)
        | altered(header["plan"]).map(lambda plan: sealed({**header, "plan": plan}))
    )


HEAD, BODY = WEIGHTS.read_bytes().split(b"\n", 1)
HEADER = json.loads(HEAD)


@fuzz(
    40,
    content=st.binary(max_size=64)
    | damaged(WEIGHTS.read_bytes())
    | altered(HEADER).map(lambda header: sealed(header, BODY))
    | damaged(BODY).map(lambda body: sealed(HEADER, body)),
)
def test_weights(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzz.eqx"
    path.write_bytes(content)
    read_or_complain(hopgym.optimizers.read_header, path)
    optimizer = read_or_complain(hopgym.optimizers.load, path)
    assert optimizer is None or isinstance(optimizer, AbstractOptimizer)


SEARCH_HEADER = {
    "plan": {
        "system": "LJ-7",
        "optimizer": "lbfgs",
        "starts": 4,
        "steps": 20,
        "seed": 0,
        "chunk": 10,
        "weights": "",
    },
    "about": {},
    "done": 10,
    "counts": [44, 30, 0, 0],
    "curve": [[44, -16.5, -16.0, 1]],
    "minima": 1,
    "pairs": 1,
    "seconds": 1.0,
}


@fuzz(
    60,
    content=files_of(SEARCH_HEADER),
)
def test_search_checkpoints(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp() / "fuzz-search"
    folder.mkdir(exist_ok=True)
    (folder / SEARCH).write_bytes(content)
    plan = read_or_complain(lambda path: SearchFolder(path).read_plan(), folder)
    if plan is not None:
        assert isinstance(plan, Plan)
        assert type(plan.system) is type(plan.optimizer) is str
        for number, least, most in (
            (plan.starts, 1, MAX_STARTS),
            (plan.steps, 1, MAX_COUNT),
            (plan.seed, 0, MAX_COUNT),
            (plan.chunk, 1, plan.steps),
        ):
            assert type(number) is int and least <= number <= most


TRAINING_HEADER = {
    "plan": command_line.make_plan(
        {"systems": "LJ-3", "unroll": "10", "strategy": "es"}
    ).to_json(),
    "update": 1,
    "evaluated": 0,
    "best": None,
    "elapsed": 1.0,
    "runs": False,
}


@fuzz(
    60,
    content=files_of(TRAINING_HEADER),
)
def test_training_checkpoints(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp() / "fuzz-training"
    folder.mkdir(exist_ok=True)
    (folder / CHECKPOINT).write_bytes(content)
    plan = read_or_complain(
        lambda path: command_line.load_plan(RunFolder(path), {}), folder
    )
    assert plan is None or isinstance(plan, TrainingPlan)


def test_unaltered_headers_are_read(tmp_path):
    """Otherwise the tests above would hold whatever the readers do."""
    (tmp_path / SEARCH).write_bytes(sealed(SEARCH_HEADER))
    (tmp_path / CHECKPOINT).write_bytes(sealed(TRAINING_HEADER))
    plan = SearchFolder(tmp_path).read_plan()
    assert dataclasses.asdict(plan).items() >= SEARCH_HEADER["plan"].items()
    plan = command_line.load_plan(RunFolder(tmp_path), {})
    assert plan.to_json() == TRAINING_HEADER["plan"]


LINES = RECORD.read_bytes().split(b"\n")[:3]
CELL = json.loads(LINES[1])


@fuzz(
    40,
    lines=st.binary(max_size=64)
    | damaged(b"\n".join(LINES))
    | st.lists(altered(CELL), min_size=1, max_size=2).map(
        lambda cells: b"\n".join([LINES[0], *(json.dumps(c).encode() for c in cells)])
    ),
)
def test_records_of_benchmarks(tmp_path_factory, lines):
    folder = tmp_path_factory.getbasetemp() / "fuzz-record"
    folder.mkdir(exist_ok=True)
    (folder / store.RECORD).write_bytes(lines)
    cells, complaints = store.read_record(folder)
    assert all("\n" not in complaint for complaint in complaints)
    for cell in cells:
        store.format_stem(cell["key"])
        assert isinstance(cell["system"], str) and isinstance(cell["starts"], int)
        for name in ("energies", "first_hit"):
            assert cell.get(name) is None or len(cell[name]) == cell["starts"]


@pytest.fixture(scope="session")
def structure_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("structures") / "valid.xyz"
    system = hopgym.get_system("Gupta-Ag2Au1")
    positions = 2.8 * np.random.default_rng(0).normal(size=(2, 3, 3))
    write_extxyz(path, system, positions, energies=np.array([-1.0, -2.0]))
    return path.read_bytes()


@fuzz(60, data=st.data())
def test_structures(tmp_path_factory, structure_file, data):
    path = tmp_path_factory.getbasetemp() / "fuzz.xyz"
    path.write_bytes(data.draw(st.binary(max_size=64) | damaged(structure_file)))
    frames = read_or_complain(read_extxyz, path)
    if frames is not None:
        assert frames and all(isinstance(atoms, Atoms) for atoms in frames)


def stop(*arguments, **options):
    """Takes the place of what would compute."""
    raise ValueError("stopped here")


NUMBERS = st.integers(-2, 3).map(str) | st.sampled_from(
    ["", "1e9", "1.5", "nan", "99999999999999999999", "1_0", "-", "٣"]
)
TEXTS = st.text(max_size=4) | st.sampled_from(
    [
        "LJ-7",
        "Au13",
        "AU13",
        "Xx3",
        "C60H60",
        "LJ-1",
        "LJ-7,LJ-8",
        "lbfgs",
        "adam",
        "es",
        "a.eqx",
        "LJ-7@2",
        "10@1,20",
        ",",
        "@",
        "--",
        "-x",
        "gupta",
        "lj",
        "file.py:x",
    ]
)


def lines_of(parser):
    """Strategy of command lines with the options of a parser."""
    names = [name for action in parser._actions for name in action.option_strings]
    options = st.sampled_from(sorted(set(names) - {"--out", "--coordinator"}))
    return st.lists(options | NUMBERS | TEXTS, max_size=6)


def check_exit(main, arguments, capsys):
    """A command ends with 0, 1 or 2; errors are one line."""
    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code or 0
    shown = capsys.readouterr()
    assert code in (0, 1, 2)
    if code == 2:
        assert shown.out == "" and shown.err.count("\n") == 1
        assert "error: " in shown.err and len(shown.err) < 2000


@fuzz(60, arguments=lines_of(command.make_parser()))
def test_command_lines_of_searches(monkeypatch, tmp_path, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(make_search, "make_search", stop)
    monkeypatch.setattr(command, "use_all_cores", lambda: None)
    check_exit(command.main, arguments, capsys)


@fuzz(60, arguments=lines_of(command_line.make_parser()))
def test_command_lines_of_trainings(monkeypatch, tmp_path, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train, "Trainer", stop)
    monkeypatch.setattr(train, "_prepare_devices", lambda given: None)
    check_exit(train.main, ["--out", "run", *arguments], capsys)


@dataclasses.dataclass
class Nothing:
    """Takes the place of a run."""

    args: object
    specs: list
    store: object
    program: str
    command: str
    publish: object
    compute: object

    def run(self):
        assert self.specs and math.isfinite(sum(spec.starts for spec in self.specs))
        return 0

    def describe_interruption(self):
        return "interrupted"


@pytest.fixture
def nothing_runs(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "Run", Nothing)
    monkeypatch.setattr(runner, "use_all_cores", lambda: None)
    monkeypatch.setattr(runner.jax.config, "update", lambda *_: None)


@pytest.mark.usefixtures("nothing_runs")
@fuzz(60, arguments=lines_of(run.command_line.make_parser()))
def test_command_lines_of_benchmarks(capsys, arguments):
    check_exit(run.main, arguments, capsys)


@pytest.mark.usefixtures("nothing_runs")
@fuzz(60, arguments=lines_of(sweep.make_parser()))
def test_command_lines_of_sweeps(capsys, arguments):
    check_exit(sweep.main, arguments, capsys)
