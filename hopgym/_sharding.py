"""Batches of replicas, spread evenly over devices.

A mesh of `None` stands for a single device, without sharding.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import PyTree

from hopgym._keys import unwrap_keys

AXIS = "replicas"


def make_mesh(
    rows: int | None = None, devices: Sequence[Any] | None = None
) -> Mesh | None:
    """Mesh of the devices over which a batch is spread, `None` if there is only one.

    **Arguments:**

    - `rows`: size of the batch; at most this many devices are used.
    - `devices`: by default those of all processes.
    """
    devices = list(devices or jax.devices())[:rows]
    return Mesh(np.asarray(devices), (AXIS,)) if len(devices) > 1 else None


def pad_rows(rows: int, mesh: Mesh | None) -> np.ndarray:
    """Index of the row that each row of the padded batch repeats.

    The first rows are repeated until every device has the same number.
    """
    devices = 1 if mesh is None else mesh.size
    return np.arange(-(-rows // devices) * devices) % rows


def spread(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Pad a batch and place it on its devices.

    Every process of a distributed run must call this with the same arrays.
    """
    plain, wrap = unwrap_keys(tree)

    def one(x):
        if mesh is None:
            return jnp.array(x, copy=True)  # programs may be given it to overwrite
        filled = np.asarray(x)[pad_rows(len(x), mesh)]
        return jax.make_array_from_callback(
            filled.shape, NamedSharding(mesh, P(AXIS)), lambda index: filled[index]
        )

    return wrap(jax.tree.map(one, plain))


def crop(tree: PyTree, rows: int) -> PyTree:
    """Copy the first `rows` rows, without the padding."""
    return jax.tree.map(lambda x: jnp.array(x[:rows], copy=True), tree)


def gather(tree: PyTree, rows: int, mesh: Mesh | None) -> PyTree:
    """Copy the first `rows` rows to this process as NumPy arrays; keys stay keys."""
    plain, wrap = unwrap_keys(tree)
    if mesh is not None:
        plain = _replicate(mesh)(plain)
    # A copy: programs may be given the rows themselves to overwrite.
    return wrap(jax.tree.map(lambda x: np.array(x)[:rows], plain))


@functools.cache
def _replicate(mesh: Mesh) -> Callable[[PyTree], PyTree]:
    return jax.jit(lambda tree: tree, out_shardings=NamedSharding(mesh, P()))


def shard(
    function: Callable[..., Any], mesh: Mesh | None, batched: Sequence[bool]
) -> Callable[..., Any]:
    """Make every device apply `function` to its own rows of a batch.

    **Arguments:**

    - `function`: must treat rows independently; all its results must be batched.
    - `batched`: for each of its arguments, whether it has a batch axis.
    """
    if mesh is None:
        return function
    return jax.shard_map(
        function,
        mesh=mesh,
        in_specs=tuple(P(AXIS) if flag else P() for flag in batched),
        out_specs=P(AXIS),
        check_vma=False,
    )
