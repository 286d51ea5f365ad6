"""Where and with what results were made."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import jax

from hopgym import native

PACKAGES = ("hopgym", "jax", "jaxlib", "equinox", "numpy")


def describe_host() -> dict[str, object]:
    """Versions, processor and devices of this process, and the time."""
    devices = jax.devices()
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "devices": f"{len(devices)} x {devices[0].device_kind}",
        "kernels": native.instruction_set() if native.backend() == "native" else None,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _cpu() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
