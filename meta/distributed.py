"""Several processes or hosts that train together."""

from __future__ import annotations

import jax
import numpy as np
from jax.experimental import multihost_utils


def join(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Join the other processes of a run; before anything is computed.

    **Arguments:**

    - `coordinator`: `HOST:PORT` of process 0. `None` with the others: found out from
      Slurm, Open MPI or Kubernetes.
    - `processes`, `process`: how many there are, and which one this is.

    **Raises:** `RuntimeError` if they do not find each other.
    """
    jax.distributed.initialize(
        coordinator, processes, process, initialization_timeout=60
    )


def leads() -> bool:
    """Whether this process is the one that writes files and reports."""
    return jax.process_index() == 0


def agreed(*values: int) -> list[int]:
    """The values of the process that leads, in all processes."""
    if jax.process_count() == 1:
        return list(values)
    return multihost_utils.broadcast_one_to_all(np.asarray(values)).tolist()
