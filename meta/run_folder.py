"""The folder of a training: checkpoint, metrics, weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jaxtyping import PyTree

from hopgym import _serialisation
from hopgym._atomic_write import atomic_write
from hopgym._cli.arguments import MAX_COUNT, describe_error
from hopgym._schema import FLAG, OBJECT, Schema, integer, nullable, number
from hopgym.meta.plan import TrainingPlan

CHECKPOINT = "checkpoint.eqx"
METRICS = "metrics.jsonl"
# Entries of a checkpoint's header that are required to resume from it.
SCHEMA: Schema = {
    "plan": OBJECT,
    "update": integer(0, MAX_COUNT),
    "evaluated": integer(-1, MAX_COUNT),
    "best": nullable(number()),
    "elapsed": number(0.0),
    "runs": FLAG,
}
# Files of a run; a new one does not overwrite them.
FILES = (CHECKPOINT, METRICS, "weights.eqx", "best.eqx", "progress.png")


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

    def check_is_free(self) -> None:
        """Check that a new training can write to the folder.

        **Raises:** `ValueError` if it holds files of another one.
        """
        if self.has_checkpoint or (self.path / METRICS).exists():
            raise ValueError(
                f"{self.path} holds a run: resume it with --resume, or choose another "
                "folder"
            )
        found = [name for name in FILES if (self.path / name).exists()]
        if found:
            raise ValueError(
                f"{self.path} holds {found[0]} of another run: choose another folder"
            )

    def read_header(self) -> dict[str, Any]:
        """Read the header of the checkpoint: plan and progress.

        **Raises:** `ValueError` if there is no checkpoint, or it is damaged or written
        by an incompatible version of hopgym.
        """
        if not self.has_checkpoint:
            raise ValueError(f"{self.path} holds no run to resume")
        return _serialisation.read_header(self.path / CHECKPOINT, SCHEMA)

    def read_provenance(self) -> dict[str, Any]:
        """Read how the run was started: the header without what the trainer writes.

        **Raises:** as `read_header`.
        """
        header = self.read_header()
        own = SCHEMA.keys() | _serialisation.OWN_ENTRIES
        return {name: value for name, value in header.items() if name not in own}

    def restore(self, like: PyTree) -> PyTree:
        """Read the arrays of the checkpoint into a pytree with the structure of `like`.

        **Raises:** `ValueError` if the arrays do not fit `like`.
        """
        return _serialisation.read(self.path / CHECKPOINT, like)

    def write_checkpoint(self, header: dict[str, Any], arrays: PyTree) -> None:
        """Write the checkpoint; an existing one must be of the same plan.

        **Raises:** `OSError` if it cannot be written, or is of another plan.
        """
        path = self.path / CHECKPOINT
        exists = path.exists()
        if exists:
            try:
                before = _serialisation.peek_header(path)
                stored = TrainingPlan.from_json(before["plan"])
            except (KeyError, ValueError) as error:
                raise OSError(f"{path}: {describe_error(error)}") from error
            if json.dumps(stored.to_json()) != json.dumps(header["plan"]):
                raise OSError("it holds another run by now")
        _serialisation.write(path, header, arrays, exclusive=not exists)

    def log(self, entry: dict[str, Any]) -> None:
        """Append a line to the metrics."""
        with (self.path / METRICS).open("a") as stream:
            stream.write(json.dumps(entry) + "\n")

    def read_metrics(self) -> list[dict[str, Any]]:
        """Read the complete lines of the metrics."""
        path = self.path / METRICS
        entries = []
        for line in path.read_bytes().split(b"\n") if path.exists() else []:
            try:
                entry = json.loads(line)
                entries += [entry] if isinstance(entry["update"], int) else []
            except (ValueError, TypeError, KeyError):
                continue  # truncated when the process was killed
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
