"""What an environment learns from its callers.

Gymnasium tells an environment neither its wrappers nor the vector environment that
makes it. They are looked up among the callers.
"""

from __future__ import annotations

import inspect
import multiprocessing
from collections.abc import Iterator
from types import FrameType

import gymnasium
from gymnasium.vector import AsyncVectorEnv
from gymnasium.wrappers import TimeLimit

from hopgym._fork import REMEDY, refuse_fork


def find_time_limit(env: gymnasium.Env) -> int | None:
    """Find the step at which `TimeLimit` wrappers end the episode of a reset.

    Only wrappers through which `env.reset` was called count, which are those that count
    its steps; `None` if there are none.
    """
    limits = [
        wrapper.get_wrapper_attr("_max_episode_steps")
        for frame in _callers()
        if isinstance(wrapper := frame.f_locals.get("self"), TimeLimit)
        and wrapper.unwrapped is env
    ]
    return min(limits, default=None)


def refuse_forks() -> None:
    """Raise an error where an environment is made for a process that would hang.

    **Raises:** `ValueError` if `AsyncVectorEnv`, which is about to fork, is the caller;
    `RuntimeError` in a forked process.
    """
    refuse_fork()
    for frame in _callers():
        if isinstance(frame.f_locals.get("self"), AsyncVectorEnv):
            context = multiprocessing.get_context(frame.f_locals.get("context"))
            if context.get_start_method() == "fork":
                raise ValueError(
                    "AsyncVectorEnv forks processes, in which JAX would wait for ever; "
                    + REMEDY
                )


def _callers() -> Iterator[FrameType]:
    """Frames of the callers, the innermost first."""
    frame = inspect.currentframe()
    while frame is not None:
        yield frame
        frame = frame.f_back
