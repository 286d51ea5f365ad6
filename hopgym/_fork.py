"""Refusal to compute in forked processes, where JAX would wait for ever."""

from __future__ import annotations

import os

from jax._src import xla_bridge  # there is no public function for it

REMEDY = (
    'start processes with the context "spawn" (or "forkserver"), for example '
    "gymnasium.make_vec(..., vectorization_mode='async', "
    "vector_kwargs={'context': 'spawn'})"
)

_started_before_fork = False


def refuse_fork() -> None:
    """Raise `RuntimeError` in a process that was forked after JAX had started."""
    if _started_before_fork:
        raise RuntimeError(
            "this process was forked after JAX had started, so a computation would "
            f"wait for ever; {REMEDY}"
        )


def _note_fork() -> None:
    global _started_before_fork
    _started_before_fork = xla_bridge.backends_are_initialized()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_note_fork)
