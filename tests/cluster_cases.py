"""Clusters and moves of them, for the tests of kernels and of the formulas."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from hopgym.optimizers.symmetry import cluster_move
from hopgym.optimizers.symmetry.cluster_move import MoveKind
from hopgym.optimizers.symmetry.point_groups import list_point_groups

LENGTH = 1.3
GROUPS = [group for group in list_point_groups() if 1 < group.order <= 12]
MOST = max(group.order for group in GROUPS)
LANES = 12  # of each kind of move
KINDS = np.repeat(np.array(MoveKind), LANES)
COMPLETED = (MoveKind.START, MoveKind.DROP, MoveKind.EXCHANGE, MoveKind.SHAKE)


@functools.cache
def make_propose():
    """A function of `make_requests`: proposals. All tests share what is compiled."""
    operations = np.zeros((len(GROUPS), MOST, 3, 3))
    for group, table in zip(GROUPS, operations, strict=True):
        table[: group.order] = group.operations
    orders = np.array([group.order for group in GROUPS])

    def one(request):
        return cluster_move.propose(
            operations=jnp.asarray(operations, float),
            orders=jnp.asarray(orders, jnp.int32),
            kinds=2,
            **request,
        )

    return jax.jit(jax.vmap(one))


def make_cluster(rng, atoms):
    """A disturbed piece of a face-centred cubic crystal, turned, in units of length."""
    edge = 2 * int(np.ceil(atoms ** (1 / 3))) + 2
    sites = np.indices((edge,) * 3).reshape(3, -1).T
    sites = sites[sites.sum(axis=1) % 2 == 0] / np.sqrt(2)
    sites = sites - sites.mean(axis=0) + rng.uniform(-0.3, 0.3, 3)
    sites = sites[np.argsort(np.linalg.norm(sites, axis=1))[:atoms]]
    sites = sites + rng.uniform(-0.08, 0.08, sites.shape)
    return sites @ np.linalg.qr(rng.normal(size=(3, 3)))[0]


def make_requests(atoms, seed=0):
    """Moves of each kind, half of them of alloys.

    JAX's default precision is that of the numbers.
    """
    rng = np.random.default_rng(seed)
    lanes = len(KINDS)
    radius = (3 * 2.0 * atoms / (np.sqrt(2) * 4 * np.pi)) ** (1 / 3)
    alloy = np.arange(lanes)[:, None] % 2 == 0
    real = {
        "positions": LENGTH
        * np.stack([make_cluster(rng, atoms) for _ in range(lanes)]),
        "length": np.full(lanes, LENGTH),
        "reach": np.where(KINDS == MoveKind.START, radius, 0.17),
        "frame": np.linalg.qr(rng.normal(size=(lanes, 3, 3)))[0],
    }
    return {
        **{name: np.asarray(x, jnp.zeros(()).dtype) for name, x in real.items()},
        "species": (alloy & (np.arange(atoms) % 3 > 0)).astype(np.int32),
        "seed": rng.integers(2**32, size=(lanes, 2), dtype=np.uint32),
        "kind": KINDS.astype(np.int32),
        "count": rng.integers(1, 4, lanes, dtype=np.int32),
        "group": rng.integers(len(GROUPS), size=lanes, dtype=np.int32),
    }


def spoil(requests):
    """One way in which numbers can be bad for each of the moves of a kind."""
    bad = {name: x.copy() for name, x in requests.items()}
    where, (_, atoms, _) = bad["positions"], bad["positions"].shape
    where[0::LANES, 0] = np.nan
    where[1::LANES] = np.nan
    where[2::LANES] = 0.5
    where[3::LANES, : (atoms + 1) // 2] = 0.5
    where[4::LANES] *= 20
    where[5::LANES] = 1e30
    where[6::LANES] = 1e5 * LENGTH
    where[7::LANES, :, 1:] *= 1e-3
    bad["reach"][8::LANES] = np.array([np.nan, np.inf, 1e9, 0, -1])[np.arange(10) % 5]
    bad["frame"][9::LANES] = np.nan
    bad["length"][10::LANES] = np.array([0, np.nan, np.inf, -1, 1e-30])[
        np.arange(10) % 5
    ]
    bad["group"][11::LANES] = 1000
    bad["count"][11::LANES] = np.array([-1, 1000])[np.arange(10) % 2]
    return bad
