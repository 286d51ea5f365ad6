"""The folder of a run: checkpoint, metrics, weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jaxtyping import PyTree

from hopgym import _serialisation
from hopgym._atomic_write import atomic_write

CHECKPOINT = "checkpoint.eqx"
METRICS = "metrics.jsonl"
# What the header of a checkpoint must tell to go on from it.
HEADER = {"plan", "update", "evaluated", "best", "elapsed", "runs"}


class RunFolder:
    """Files of a run.

    - `checkpoint.eqx`: settings, and all that the next update needs.
    - `metrics.jsonl`: a line for each update.
    - `weights.eqx`, `best.eqx`: the present weights, and those that did best on the
      held-out starts.
    - `progress.png`: the course of the run.

    **Arguments:**

    - `path`: of the folder.
    """

    def __init__(self, path: Path):
        self.path = path

    @property
    def holds_a_run(self) -> bool:
        """Whether there is a run to go on with."""
        return (self.path / CHECKPOINT).exists()

    def create(self) -> None:
        """Make the folder.

        **Raises:** `ValueError` if another run is in it; `OSError` if it cannot be
        made.
        """
        if self.holds_a_run or (self.path / METRICS).exists():
            raise ValueError(
                f"{self.path} holds a run: go on with it by --resume, or choose "
                "another folder"
            )
        self.path.mkdir(parents=True, exist_ok=True)

    def header(self) -> dict[str, Any]:
        """Of the checkpoint: settings and progress.

        **Raises:** `ValueError` if there is none, if it is damaged or if another
        version of this package wrote it.
        """
        if not self.holds_a_run:
            raise ValueError(f"{self.path} holds no run to resume")
        header = _serialisation.read_header(self.path / CHECKPOINT)
        missing = HEADER - header.keys()
        if missing:
            raise ValueError(
                f"{self.path / CHECKPOINT} says nothing of "
                f"{', '.join(sorted(missing))}: another version of hopgym wrote it, "
                "which can go on from it"
            )
        return header

    def restore(self, like: PyTree) -> PyTree:
        """The arrays of the checkpoint.

        **Raises:** `ValueError` if they are not those of this run.
        """
        return _serialisation.read(self.path / CHECKPOINT, like)

    def checkpoint(self, header: dict[str, Any], arrays: PyTree) -> None:
        """Replace the checkpoint."""
        _serialisation.write(self.path / CHECKPOINT, header, arrays)

    def log(self, entry: dict[str, Any]) -> None:
        """Add a line to the metrics."""
        with (self.path / METRICS).open("a") as stream:
            stream.write(json.dumps(entry) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of the metrics that are whole."""
        path = self.path / METRICS
        entries = []
        for line in path.read_text().splitlines() if path.exists() else []:
            try:
                entries.append(json.loads(line))
            except ValueError:  # cut off when the process was killed
                continue
        return entries

    def forget_after(self, update: int, evaluated: int) -> None:
        """Drop metrics of what the checkpoint does not know.

        **Arguments:**

        - `update`, `evaluated`: the last update that it knows, and the last of which
          it knows the evaluation.
        """
        kept = [
            entry
            for entry in self.metrics()
            if entry["update"] <= (evaluated if "evaluation" in entry else update)
        ]
        text = "".join(json.dumps(entry) + "\n" for entry in kept)
        atomic_write(self.path / METRICS, text)
