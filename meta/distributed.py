"""Training on several processes or hosts."""

from __future__ import annotations

import jax
import numpy as np
from jax.experimental import multihost_utils


def join(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Join the other processes of a run; call before JAX initialises its backend.

    With `None` the arguments are determined from Slurm, Open MPI or Kubernetes.

    **Arguments:**

    - `coordinator`: `HOST:PORT` of process 0.
    - `processes`, `process`: number of processes, and index of this one.

    **Raises:** `RuntimeError` if the processes cannot connect.
    """
    jax.distributed.initialize(
        coordinator, processes, process, initialization_timeout=60
    )


def is_leader() -> bool:
    """Whether this is the process that writes files and reports progress."""
    return jax.process_index() == 0


def broadcast(*values: int) -> list[int]:
    """Send the values of the leader to all processes, and return them."""
    if jax.process_count() == 1:
        return list(values)
    return multihost_utils.broadcast_one_to_all(np.asarray(values)).tolist()
