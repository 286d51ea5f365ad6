"""Moves of clusters that keep, complete or restore symmetry.

Geometry only: which sites are vacant, and how many neighbours atoms have there.
"""

from __future__ import annotations

import enum

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt32

from hopgym import native


class MoveKind(enum.IntEnum):
    """Moves, in the order of the kernel."""

    NONE = 0
    START = 1
    DROP = 2
    EXCHANGE = 3
    SHAKE = 4
    SEARCH_SURFACE = 5
    SEARCH_OR_MOVE = 6
    MOVE_WEAKEST = 7
    SYMMETRISE = 8
    SHAKE_FREELY = 9


def propose(
    positions: Float[Array, "atoms 3"],
    species: Int[Array, " atoms"],
    length: Float[Array, ""],
    operations: Float[Array, "groups most 3 3"],
    orders: Int[Array, " groups"],
    *,
    kinds: int,
    seed: UInt32[Array, "2"],
    kind: Int[Array, ""],
    count: Int[Array, ""],
    reach: Float[Array, ""],
    group: Int[Array, ""],
    frame: Float[Array, "3 3"],
) -> Float[Array, "atoms 3"]:
    found = native.call(
        "cluster_move",
        {"proposal": jax.ShapeDtypeStruct(positions.shape, positions.dtype)},
        operands={
            "positions": positions,
            "species": species,
            "seed": jax.lax.bitcast_convert_type(seed, jnp.int32),
            "kind": kind,
            "count": count,
            "reach": reach,
            "group": group,
            "frame": frame,
            "length": length,
            "operation_matrices": operations,
            "orders": orders,
        },
        attributes={
            "groups": operations.shape[0],
            "kinds": kinds,
            "operations": operations.shape[1],
        },
    )
    return found["proposal"]
