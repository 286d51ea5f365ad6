"""The devices on which a command computes."""

from __future__ import annotations

import os

import jax

from hopgym import native


def use_all_cores(*, one_thread_each: bool = False) -> None:
    """Make a CPU device of every core that this process may use.

    Has no effect once JAX computes, as in tests.

    **Arguments:**

    - `one_thread_each`: whether a device computes on a single thread. Devices that all
      use XLA's thread pool get in each other's way where each has much to do.
    """
    if one_thread_each:
        use_one_thread()
    try:
        jax.config.update("jax_num_cpu_devices", native.available_cores())
    except RuntimeError:  # the backend is initialised already
        return


def use_one_thread() -> None:
    """Keep XLA from using its thread pool; before JAX computes anything."""
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_cpu_multi_thread_eigen" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
