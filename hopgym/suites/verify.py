"""Verifies an entry from its structures, without running the entrant's code.

`python -m hopgym.suites.verify --help`
"""

from __future__ import annotations

import contextlib
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hopgym._cli.arguments import Parser, describe_error, parse_names
from hopgym._cli.devices import use_all_cores
from hopgym._cli.lookup import check_names
from hopgym._cli.process import run as run_command
from hopgym._cli.progress import say
from hopgym._cli.provenance import describe_host
from hopgym.relax import Quenched, quench
from hopgym.suites import structures
from hopgym.suites.entry import (
    HEADER,
    check_header,
    find_structures,
    read_header,
)
from hopgym.suites.formulas import compute_energy
from hopgym.suites.starts import compute_start_energies
from hopgym.suites.structures import UNREADABLE, Structures
from hopgym.suites.suite import Suite
from hopgym.suites.verified import FILE, Found, Verified, hash_files, write
from hopgym.systems import System

# Relative difference of the energies of initial structures, which other machines round
# differently while they relax them. Kernels and JAX differ by 3e-6 at most.
SAME_START = 1e-3
MAX_ARCHIVE = 2**30  # bytes of an archive, unpacked


def verify_system(system: System, suite: Suite, found: Structures) -> Found:
    """Verify the structures of a system of a suite: quench them in double precision.

    **Raises:** `ValueError`, which names the start, if the initial structures are not
    those of the suite.
    """
    _check_starts(system, suite, found.start_energies)
    with jax.enable_x64(True):
        return _judge(suite.get_system(system.name), suite, found)


def _judge(system: System, suite: Suite, found: Structures) -> Found:
    quenched = quench(system, jnp.asarray(found.positions))
    is_sound = np.asarray(quenched.converged & quenched.connected) & ~found.is_clipped
    energies = np.where(is_sound, np.asarray(quenched.energy), np.inf)
    discoveries = _confirm_discoveries(system, energies, quenched)
    at_minimum = energies < float(system.reference) + float(system.tolerance)
    claimed = found.evaluations > 0
    steps = np.full(suite.starts, -1)
    evaluations = np.full(suite.starts, -1)
    for row in np.flatnonzero(claimed & at_minimum):
        steps[found.start[row]] = found.step[row]
        evaluations[found.start[row]] = found.evaluations[row]
    best = np.full((suite.starts, len(suite.budgets)), np.inf)
    for start, step, energy in zip(found.start, found.step, energies, strict=True):
        column = np.array(suite.budgets) >= step
        best[start, column] = np.minimum(best[start, column], energy)
    return Found(
        steps=steps,
        evaluations=evaluations,
        energies=best,
        unconfirmed=int(np.sum(claimed & ~at_minimum)),
        unsound=int(np.sum(~np.isfinite(energies))),
        discoveries=discoveries,
    )


def _check_starts(system: System, suite: Suite, energies: np.ndarray) -> None:
    expected = compute_start_energies(system, suite)
    wrong = ~(np.abs(energies - expected) <= SAME_START * np.abs(expected))
    if np.any(wrong):
        start = int(np.argmax(wrong))
        raise ValueError(
            f"{system.name}: start {start} has the energy {energies[start]:g}, that of "
            f"suite {suite.version} {expected[start]:g}: these are other starts"
        )


def _confirm_discoveries(
    system: System, energies: np.ndarray, quenched: Quenched
) -> list[float]:
    """Energies below the lowest known one that the second formula confirms.

    Those that it does not become infinite.
    """
    known, tolerance = float(system.reference), float(system.tolerance)
    confirmed = []
    for row in np.flatnonzero(energies < known - tolerance):
        energy = compute_energy(system, np.asarray(quenched.positions[row]))
        if abs(energy - energies[row]) < tolerance:
            confirmed.append(round(energy, 6))
        else:
            energies[row] = np.inf
    return sorted(confirmed)


@contextlib.contextmanager
def open_entry(path: Path) -> Iterator[Path]:
    """The folder of an entry, which may be a ZIP archive.

    **Raises:** `ValueError` if it is neither, or the archive has files outside of its
    folder or is too large.
    """
    if path.is_dir():
        yield path
        return
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is neither the folder of an entry nor a ZIP archive")
    with tempfile.TemporaryDirectory() as folder:
        try:
            with zipfile.ZipFile(path) as archive:
                _check_archive(path, archive)
                archive.extractall(folder)
        except UNREADABLE as error:
            raise ValueError(f"{path} cannot be unpacked: {error}") from error
        headers = sorted(Path(folder).rglob(HEADER))
        if len(headers) != 1:
            raise ValueError(f"{path} must have one {HEADER}, and has {len(headers)}")
        yield headers[0].parent


def _check_archive(path: Path, archive: zipfile.ZipFile) -> None:
    """Check that an archive stays in its folder, and is not too large."""
    for part in archive.infolist():
        name = PurePosixPath(part.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or ":" in part.filename:
            raise ValueError(
                f"{path}: {part.filename!r} would be unpacked outside of its folder"
            )
    size = sum(part.file_size for part in archive.infolist())
    if size > MAX_ARCHIVE:
        raise ValueError(f"{path} has {size:,} bytes unpacked, more than allowed")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0: the entry is verified. 1: the result could not be written. 2: invalid arguments,
    or an entry that is not valid.
    """
    parser = Parser(
        prog="verify.py",
        description="Verify an entry from its structures; its code is not run.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("entry", type=Path, metavar="ENTRY", help="its folder, or a ZIP archive of it")
    add("--systems", metavar="A,B", type=parse_names, help="these only, for a look")
    add("--out", type=Path, metavar="FILE", help=f"default: {FILE} in the folder")
    args = parser.parse_args(arguments)
    use_all_cores()
    try:
        with open_entry(args.entry) as folder:
            verified = _verify(folder, args.systems)
    except (ValueError, OSError) as error:
        parser.fail(error)
    if args.systems is not None:
        say("nothing is written: these are not all systems of the entry")
        return 0
    out = args.out
    if out is None:
        is_folder = args.entry.is_dir()
        out = args.entry / FILE if is_folder else args.entry.with_suffix(".json")
    try:
        write(out, verified)
    except OSError as error:
        say(f"error: cannot write {out}: {describe_error(error)}")
        return 1
    say(f"verified: {out}; python -m hopgym.suites.leaderboard {out}")
    return 0


def _verify(folder: Path, only: list[str] | None) -> Verified:
    header = read_header(folder)
    suite = check_header(header)
    paths = find_structures(folder, suite)
    names = list(paths) if only is None else only
    check_names("system of the entry", names, paths)
    systems: dict[str, Found] = {}
    for number, name in enumerate(names, 1):
        system = suite.get_system(name)
        rows = structures.load(paths[name], system, suite)
        systems[name] = found = verify_system(system, suite, rows)
        say(f"[{number}/{len(names)}] {name}  {_describe(system, found)}")
    files = hash_files({HEADER: folder / HEADER, **{n: paths[n] for n in names}})
    return Verified(header, files, _describe_check(), systems)


def _describe(system: System, found: Found) -> str:
    text = f"{found.hits} of {len(found.steps)} starts hit"
    if found.unconfirmed:
        text += f", {found.unconfirmed} claimed hits are not the minimum"
    if found.unsound:
        text += f", {found.unsound} structures are in pieces or no minima"
    if found.discoveries:
        text += (
            f"; DISCOVERY: {found.discoveries[0]:.6f} is lower than the lowest known "
            f"energy {float(system.reference):.6f}"
        )
    return text


def _describe_check() -> dict[str, Any]:
    host = describe_host()
    return {name: host[name] for name in ("versions", "python", "cpu", "date")}


if __name__ == "__main__":
    run_command(main)
