"""The folder of a training: checkpoint, metrics, weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jaxtyping import PyTree

from hopgym import _serialisation
from hopgym._atomic_write import atomic_write

CHECKPOINT = "checkpoint.eqx"
METRICS = "metrics.jsonl"
# Entries of a checkpoint's header that are required to resume from it.
HEADER_ENTRIES = {"plan", "update", "evaluated", "best", "elapsed", "runs"}


class RunFolder:
    """Files of a training.

    - `checkpoint.eqx`: the plan, and everything needed to resume.
    - `metrics.jsonl`: one line per update or evaluation.
    - `weights.eqx`, `best.eqx`: the current weights, and the best ones on held-out
      starts.
    - `progress.png`: figure of the progress.

    **Arguments:**

    - `path`: path of the folder.
    """

    def __init__(self, path: Path):
        self.path = path

    @property
    def has_checkpoint(self) -> bool:
        """Whether the folder has a checkpoint."""
        return (self.path / CHECKPOINT).exists()

    def create(self) -> None:
        """Create the folder.

        **Raises:** `ValueError` if it holds a training; `OSError` if it cannot be
        created.
        """
        if self.has_checkpoint or (self.path / METRICS).exists():
            raise ValueError(
                f"{self.path} holds a run: resume it with --resume, or choose another "
                "folder"
            )
        self.path.mkdir(parents=True, exist_ok=True)

    def read_header(self) -> dict[str, Any]:
        """Read the header of the checkpoint: plan and progress.

        **Raises:** `ValueError` if there is no checkpoint, or it is damaged or written
        by an incompatible version of hopgym.
        """
        if not self.has_checkpoint:
            raise ValueError(f"{self.path} holds no run to resume")
        return _serialisation.read_header(self.path / CHECKPOINT, HEADER_ENTRIES)

    def read_provenance(self) -> dict[str, Any]:
        """Read how the run was started: the header without what the trainer writes.

        **Raises:** as `read_header`.
        """
        header = self.read_header()
        own = HEADER_ENTRIES | _serialisation.OWN_ENTRIES
        return {name: value for name, value in header.items() if name not in own}

    def restore(self, like: PyTree) -> PyTree:
        """Read the arrays of the checkpoint into a pytree with the structure of `like`.

        **Raises:** `ValueError` if the arrays do not fit `like`.
        """
        return _serialisation.read(self.path / CHECKPOINT, like)

    def write_checkpoint(self, header: dict[str, Any], arrays: PyTree) -> None:
        """Write the checkpoint, replacing an existing one."""
        _serialisation.write(self.path / CHECKPOINT, header, arrays)

    def log(self, entry: dict[str, Any]) -> None:
        """Append a line to the metrics."""
        with (self.path / METRICS).open("a") as stream:
            stream.write(json.dumps(entry) + "\n")

    def read_metrics(self) -> list[dict[str, Any]]:
        """Read the complete lines of the metrics."""
        path = self.path / METRICS
        entries = []
        for line in path.read_text().splitlines() if path.exists() else []:
            try:
                entries.append(json.loads(line))
            except ValueError:  # truncated when the process was killed
                continue
        return entries

    def discard_after(self, update: int, evaluated: int) -> None:
        """Discard metrics that are newer than the checkpoint.

        **Arguments:**

        - `update`: last update before the checkpoint.
        - `evaluated`: last update that was evaluated before the checkpoint.
        """
        kept = [
            entry
            for entry in self.read_metrics()
            if entry["update"] <= (evaluated if "evaluation" in entry else update)
        ]
        text = "".join(json.dumps(entry) + "\n" for entry in kept)
        atomic_write(self.path / METRICS, text)
