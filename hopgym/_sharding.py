"""Batches of replicas, spread evenly over devices.

A mesh of `None` stands for one device: programs are then the same as without sharding.
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
    """The devices over which a batch is spread, or `None` if there is only one.

    **Arguments:**

    - `rows`: size of the batch; more devices are not used.
    - `devices`: by default all, of all processes.
    """
    devices = list(devices or jax.devices())[:rows]
    return Mesh(np.asarray(devices), (AXIS,)) if len(devices) > 1 else None


def pad_rows(rows: int, mesh: Mesh | None) -> np.ndarray:
    """For each row of the padded batch the row that is computed there.

    The first rows are repeated until every device has equally many.
    """
    devices = 1 if mesh is None else mesh.size
    return np.arange(-(-rows // devices) * devices) % rows


def spread(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """A batch, padded, on its devices.

    Every process of a distributed run calls this with the same arrays.
    """
    plain, wrap = unwrap_keys(tree)

    def one(x):
        if mesh is None:
            return jnp.asarray(x)
        filled = np.asarray(x)[pad_rows(len(x), mesh)]
        return jax.make_array_from_callback(
            filled.shape, NamedSharding(mesh, P(AXIS)), lambda index: filled[index]
        )

    return wrap(jax.tree.map(one, plain))


def crop(tree: PyTree, rows: int) -> PyTree:
    """A copy of the first `rows` rows, without the padding."""
    return jax.tree.map(lambda x: jnp.array(x[:rows], copy=True), tree)


def gather(tree: PyTree, rows: int, mesh: Mesh | None) -> PyTree:
    """The first `rows` rows in the memory of this process, keys as keys."""
    plain, wrap = unwrap_keys(tree)
    if mesh is not None:
        plain = _replicate(mesh)(plain)
    return wrap(jax.tree.map(lambda x: np.asarray(x)[:rows], plain))


@functools.cache
def _replicate(mesh: Mesh) -> Callable[[PyTree], PyTree]:
    return jax.jit(lambda tree: tree, out_shardings=NamedSharding(mesh, P()))


def shard(
    function: Callable[..., Any], mesh: Mesh | None, batched: Sequence[bool]
) -> Callable[..., Any]:
    """A function of batches that every device applies to its own rows.

    **Arguments:**

    - `function`: row by row, so that its results do not depend on how rows are spread.
    - `batched`: for each of its arguments, whether it has rows. All results have.
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
