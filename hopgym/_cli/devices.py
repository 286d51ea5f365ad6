"""The devices that a command uses."""

from __future__ import annotations

import os

import jax

from hopgym import native


def use_all_cores(*, one_thread_each: bool = False) -> None:
    """Make every core that this process may use a CPU device of JAX.

    Has no effect once JAX has initialised its backend, as in tests.

    **Arguments:**

    - `one_thread_each`: whether each device uses a single thread. Otherwise devices
      that are all busy compete for XLA's thread pool.
    """
    if one_thread_each:
        use_one_thread()
    try:
        jax.config.update("jax_num_cpu_devices", native.available_cores())
    except RuntimeError:  # the backend has been initialised
        return


def use_one_thread() -> None:
    """Keep XLA from using its thread pool; call before JAX initialises its backend."""
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_cpu_multi_thread_eigen" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
