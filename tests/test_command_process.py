"""Processes of commands: signals, output without a reader, locked folders."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import pytest

from benchmarks.run import main as run_main
from benchmarks.tune import main as tune_main
from hopgym._atomic_write import atomic_write
from hopgym._cli.interrupt import StopRequest
from hopgym._cli.pace import CALL_SECONDS, FIRST_STEPS, Pace
from hopgym._cli.provenance import format_command
from hopgym._folder_lock import InUse, lock_folder
from hopgym.meta.train import main as train_main
from hopgym.structure_search.command import main as search_main

ROOT = Path(__file__).parents[1]
# What handles processes needs nothing but the standard library.
ALONE = """
import os, pathlib, signal, sys, time, types
package = sys.modules["hopgym"] = types.ModuleType("hopgym")
package.__path__ = ["hopgym"]
"""
posix = pytest.mark.skipif(os.name == "nt", reason="signals and pipes of POSIX")


def start(*words, **options):
    return subprocess.Popen(
        [sys.executable, *map(str, words)], text=True, cwd=ROOT, **options
    )


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "words",
    [
        ("-m", "hopgym.search", "LJ4"),
        ("-m", "hopgym.meta.train"),
        ("benchmarks/run.py",),
    ],
)
def test_signals_during_imports_end_a_command_with_a_word(words, number, tmp_path):
    # A module that sends a signal when JAX is imported, found before the real one.
    (tmp_path / "jax.py").write_text(
        f"import os, time\nos.kill(os.getpid(), {int(number)})\ntime.sleep(60)\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    running = start(
        *words,
        "--out",
        tmp_path / "out",
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )
    _, said = running.communicate(timeout=60)
    assert said == "interrupted\n"
    assert running.returncode == 128 + number
    assert not (tmp_path / "out").exists()


@posix
def test_the_first_signal_is_acknowledged_and_the_second_one_leaves():
    code = """
from hopgym._cli.interrupt import StopRequest
with StopRequest() as stop:
    os.kill(os.getpid(), signal.SIGINT)
    assert stop() and stop.reason == "stopped"
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
"""
    running = start("-c", ALONE + code, stderr=subprocess.PIPE)
    _, said = running.communicate(timeout=60)
    assert said == "stopping after this chunk; once more to leave at once\n"
    assert running.returncode == 128 + signal.SIGTERM


@posix
def test_a_farewell_is_said_while_no_python_runs():
    code = """
from hopgym._cli.interrupt import Farewell
from hopgym._cli.process import run
def main():
    with Farewell(lambda: "kept"):
        print("ready", flush=True)
        import ctypes
        ctypes.CDLL(None).sleep(60)
run(main)
"""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    running = start("-c", ALONE + code, **pipes)
    assert running.stdout is not None and running.stdout.readline() == "ready\n"
    running.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=30)
    assert said == "kept\n"
    assert running.returncode == 128 + signal.SIGTERM


@posix
def test_handlers_are_restored():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signalled
    after = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert after == before


def test_time_limits_are_reasons():
    stop = StopRequest(1e-9)
    time.sleep(1e-3)
    assert stop() and stop.reason == "time limit reached"


def test_the_pace_follows_the_speed():
    pace = Pace()
    pace.record(FIRST_STEPS, CALL_SECONDS / 100)
    assert pace.steps == 2 * FIRST_STEPS
    pace.record(FIRST_STEPS, 100.0)  # shorter than asked for
    assert pace.steps == 2 * FIRST_STEPS
    for _ in range(20):
        pace.record(pace.steps, 100.0)
    assert pace.steps == 1


def run_in_shell(redirection, *words):
    script = f'"$@" {redirection}; exit "${{PIPESTATUS[0]}}"'
    return subprocess.run(
        ["bash", "-c", script, "bash", sys.executable, *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )


@posix
@pytest.mark.parametrize(
    ("redirection", "code", "complaint"),
    [
        ("| true", 3, ""),
        ("2>&1 | true", 3, ""),
        (">&-", 3, ""),
        ("2>&- >&- <&-", 3, ""),
        (">/dev/full", 3, "error: cannot write output: No space left on device\n"),
    ],
)
def test_output_without_a_reader(redirection, code, complaint, tmp_path):
    if "full" in redirection and not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    main = """
from hopgym._cli.process import run
def main():
    with open(sys.argv[1], "w") as file:
        for number in range(20_000):
            print(number, "caf\\udce9", flush=number == 0)
        print("warning", file=sys.stderr)
        file.write(str(file.fileno() > 2))
    return 3
run(main)
"""
    path = tmp_path / "result"
    done = run_in_shell(redirection, "-c", ALONE + main, str(path))
    assert done.returncode == code
    assert done.stderr.replace("warning\n", "") == complaint
    assert path.read_text() == "True"


@pytest.mark.parametrize(
    ("main", "words"),
    [
        (search_main, ["LJ4", "--optimizer", "gd"]),
        (train_main, ["--systems", "LJ-4", "--strategy", "ga"]),
        (run_main, ["--systems", "LJ-4", "--optimizers", "gd"]),
        (tune_main, ["--systems", "LJ-4", "--optimizers", "adam"]),
    ],
)
def test_two_processes_never_share_a_folder(main, words, tmp_path, capsys):
    jax.devices()
    with lock_folder(tmp_path), pytest.raises(SystemExit) as stopped:
        main([*words, "--out", str(tmp_path)])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert "another process uses" in said and said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_lock_ends_with_its_process(tmp_path):
    code = """
from hopgym._folder_lock import lock_folder
with lock_folder(pathlib.Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""
    running = start("-c", ALONE + code, tmp_path, stdout=subprocess.PIPE)
    assert running.stdout is not None and running.stdout.readline() == "locked\n"
    with pytest.raises(InUse, match="another process uses"), lock_folder(tmp_path):
        pass
    running.kill()
    running.communicate()
    with lock_folder(tmp_path):
        pass


def test_folders_that_cannot_be_locked(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="it is not a folder"):
        lock_folder(tmp_path / "file").__enter__()
    with pytest.raises(OSError, match=r"cannot write to .*: Not a directory"):
        lock_folder(tmp_path / "file" / "below").__enter__()


def test_atomic_writes_are_exclusive_on_request(tmp_path):
    path = tmp_path / "file"
    atomic_write(path, "old", exclusive=True)
    with pytest.raises(FileExistsError):
        atomic_write(path, "new", exclusive=True)
    assert path.read_text() == "old"
    atomic_write(path, "caf\udce9")
    assert path.read_text() == "caf\\udce9"
    assert list(tmp_path.iterdir()) == [path]


def test_threads_write_the_same_file_in_turn(tmp_path):
    path = tmp_path / "file"
    contents = [str(k) * 100_000 for k in range(8)]
    threads = [threading.Thread(target=atomic_write, args=(path, c)) for c in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in contents
    assert list(tmp_path.iterdir()) == [path]


def test_undecodable_words_of_commands_become_escapes():
    words = ["--out", os.fsdecode(b"caf\xe9")]
    assert format_command("program", words) == "program --out 'caf\\xe9'"
