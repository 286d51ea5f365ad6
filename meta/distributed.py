"""Training by several processes or hosts."""

from __future__ import annotations

import jax
import numpy as np
from jax.experimental import multihost_utils


def join(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Join the other processes of a run, before JAX computes anything.

    Without arguments they are determined from Slurm, Open MPI or Kubernetes.

    **Arguments:**

    - `coordinator`: `HOST:PORT` of process 0.
    - `processes`, `process`: number of processes, and index of this one.

    **Raises:** `RuntimeError` if the processes cannot connect.
    """
    jax.distributed.initialize(
        coordinator, processes, process, initialization_timeout=60
    )


def is_leader() -> bool:
    """Whether this process is the one that writes files and reports progress."""
    return jax.process_index() == 0


def broadcast(*values: int) -> list[int]:
    """The values of the leader, in all processes."""
    if jax.process_count() == 1:
        return list(values)
    return multihost_utils.broadcast_one_to_all(np.asarray(values)).tolist()
