"""Provenance of results: command, versions, machine and date."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

from hopgym import native

PACKAGES = ("hopgym", "jax", "jaxlib", "equinox", "evosax", "optax", "numpy")


def format_command(program: str, arguments: Sequence[str] | None) -> str:
    """Format a command as it was typed.

    **Arguments:**

    - `program`: such as `python -m hopgym.search`.
    - `arguments`: arguments of `main`; `None` for those of the process.
    """
    words = shlex.join(sys.argv[1:] if arguments is None else arguments)
    # Bytes of undecodable names become escapes.
    command = f"{program} {words}".rstrip()
    return os.fsencode(command).decode(errors="backslashreplace")


def describe_run(command: str, packages: Sequence[str] = ()) -> dict[str, Any]:
    """Provenance that is stored with the results of a command.

    **Arguments:**

    - `command`: the command as it was typed.
    - `packages`: packages whose versions are recorded in addition to `PACKAGES`.
    """
    return {"command": command, **describe_host(packages)}


def describe_host(packages: Sequence[str] = ()) -> dict[str, Any]:
    """Versions, processor and devices of this process, and the date."""
    devices = jax.devices()
    return {
        "versions": {name: version(name) for name in (*PACKAGES, *packages)},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _get_processor_name(),
        "cores": os.cpu_count(),
        "devices": f"{len(devices)} x {devices[0].device_kind}",
        "kernels": native.instruction_set() if native.backend() == "native" else None,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _get_processor_name() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
