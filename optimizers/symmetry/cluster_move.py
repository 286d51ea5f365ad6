"""Moves of clusters that keep, complete or restore symmetry.

Geometry only: which sites are vacant, and how many neighbours atoms have there.
"""

from __future__ import annotations

import enum

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt32

from hopgym import native
from hopgym._batching import batched_cond
from hopgym.optimizers.symmetry.completion import Subspace, complete
from hopgym.optimizers.symmetry.random_numbers import draw
from hopgym.optimizers.symmetry.scores import (
    FAR,
    LIMIT,
    get_direction,
    pick,
    score_points,
)
from hopgym.optimizers.symmetry.surface_search import GAIN, TIE, search_surface
from hopgym.optimizers.symmetry.symmetrisation import repeat_sector
from hopgym.optimizers.symmetry.vacant_sites import count_most_sites, find_sites

SURFACE_KICKS, SURFACE_MOVED = 8, 4
SYMMETRISED_KICKS, SYMMETRISED_MOVED = 2, 3
WORTHWHILE = 0.2  # gain of a surface search that is worth a quench
TRIES = 20  # random starts until one can be completed
TRIED_SITES = 6  # of which the best takes a weakly bound atom
TRY_ROUNDS = 1000  # rounds of random numbers between tries
WEAKEST_ROUND = 500  # first round of those that move weakly bound atoms
ROTATION = 1.1  # largest component of a rotation
WORST, BEST = -1e9, 1e9  # beyond all scores


class MoveKind(enum.IntEnum):
    """Moves, in the order of the kernel."""

    NONE = 0
    START = 1  # random points in a sphere, completed if possible
    DROP = 2  # completed after weakly bound orbits have left
    EXCHANGE = 3  # completed after two orbits have exchanged their species
    SHAKE = 4  # completed after random displacements
    SEARCH_SURFACE = 5  # surface search; nothing changes without a worthwhile gain
    SEARCH_OR_MOVE = 6  # surface search; without a gain weakly bound atoms move
    MOVE_WEAKEST = 7  # weakly bound atoms move to vacant sites
    SYMMETRISE = 8  # a sector is repeated about an axis
    SHAKE_FREELY = 9  # random displacements


class Request(eqx.Module):
    """What is to be done with one cluster: the arguments of `propose`."""

    positions: Float[Array, "atoms 3"]
    species: Int[Array, " atoms"]
    length: Float[Array, ""]
    operations: Float[Array, "groups most 3 3"]
    orders: Int[Array, " groups"]
    seed: UInt32[Array, "2"]
    kind: Int[Array, ""]
    count: Int[Array, ""]
    reach: Float[Array, ""]
    group: Int[Array, ""]
    frame: Float[Array, "3 3"]


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
    """Propose positions by a move.

    A move that is impossible changes nothing. Coordinates that are not finite, or above
    1e5 lengths, become 0 first, but for `NONE`; with a length, reach or frame that is
    not finite nothing changes.

    **Arguments:**

    - `positions`, `species`, `length`: the cluster and the unit of length.
    - `operations`, `orders`: orthogonal matrices of each point group, the identity
      first, and their number.
    - `kinds`: number of species (static).
    - `seed`: of the random numbers.
    - `kind`: a `MoveKind`.
    - `count`: number of orbits that leave (`DROP`) or of atoms that move.
    - `reach`: radius of the sphere of random points, or largest displacement along each
      axis, in units of length.
    - `group`: number of the point group.
    - `frame`: rotation that takes positions to the frame of the operations.
    """
    request = Request(
        positions=positions,
        species=species,
        length=length,
        operations=operations,
        orders=orders,
        seed=seed,
        kind=kind,
        count=count,
        reach=reach,
        group=group,
        frame=frame,
    )
    return native.dispatch(
        lambda request: _propose_native(request, kinds),
        lambda request: _propose_jax(request, kinds),
        request,
    )


def _propose_native(request: Request, kinds: int) -> Float[Array, "atoms 3"]:
    positions, operations = request.positions, request.operations
    found = native.call(
        "cluster_move",
        {"proposal": jax.ShapeDtypeStruct(positions.shape, positions.dtype)},
        operands={
            "positions": positions,
            "species": request.species,
            "seed": jax.lax.bitcast_convert_type(request.seed, jnp.int32),
            "kind": request.kind,
            "count": request.count,
            "reach": request.reach,
            "group": request.group,
            "frame": request.frame,
            "length": request.length,
            "operation_matrices": operations,
            "orders": request.orders,
        },
        attributes={
            "groups": operations.shape[0],
            "kinds": kinds,
            "operations": operations.shape[1],
        },
    )
    return found["proposal"]


def _propose_jax(request: Request, kinds: int) -> Float[Array, "atoms 3"]:
    """The move in JAX, in units of length. Each branch runs where it is needed only."""
    request = _convert(request)
    kind, length, reach = request.kind, request.length, request.reach
    frame, seed = request.frame, request.seed
    count = jnp.minimum(request.count, len(request.positions))
    group = jnp.clip(request.group, 0, len(request.orders) - 1)
    operations = request.operations[group]
    atoms, bad = _read(request)
    usable = (length > 0) & jnp.isfinite(length) & (jnp.abs(reach) <= LIMIT)
    usable = usable & jnp.all(jnp.abs(frame) <= ROTATION)
    usable = usable & jnp.all(jnp.abs(operations) <= ROTATION)

    def choose(*kinds):
        chosen = jnp.zeros((), bool)
        for one in kinds:
            chosen = chosen | (kind == one)
        return chosen & usable

    subspace = Subspace(
        operations=operations,
        order=jnp.clip(request.orders[group], 1, request.operations.shape[1]),
        frame=frame,
        species=request.species,
        kinds=kinds,
    )
    none = (jnp.zeros((), bool), atoms)
    completing = choose(
        MoveKind.START, MoveKind.DROP, MoveKind.EXCHANGE, MoveKind.SHAKE
    )
    completed, whole = batched_cond(
        completing, _complete, none, subspace, seed, kind, count, reach
    )
    searching = choose(
        MoveKind.SEARCH_SURFACE, MoveKind.SEARCH_OR_MOVE, MoveKind.SYMMETRISE
    )
    searched, occupied = batched_cond(searching, _search_surface, none, seed, kind)
    moving = choose(MoveKind.MOVE_WEAKEST)
    moving = moving | (choose(MoveKind.SEARCH_OR_MOVE) & ~searched)
    nowhere = (jnp.zeros(len(atoms), bool), atoms)
    moved, sites = batched_cond(moving, _move_weakest, nowhere, seed, count)
    # What has not changed keeps its bits.
    changed = usable & bad & (kind != MoveKind.NONE) & (kind != MoveKind.START)
    proposal = jnp.where(changed, 0, request.positions)
    for found, points in (
        (completed, whole),
        (searched, occupied),
        (moved[:, None], sites),
        (choose(MoveKind.SHAKE_FREELY), atoms),
    ):
        proposal = jnp.where(found, length * points, proposal)
    return proposal


def _convert(request: Request) -> Request:
    """Give numbers the types that the kernel takes."""
    dtype = request.positions.dtype

    def convert(x):
        if jnp.issubdtype(x.dtype, jnp.floating):
            return x.astype(dtype)
        return x if x.dtype == jnp.uint32 else x.astype(jnp.int32)

    return jax.tree.map(convert, request)


def _read(request) -> tuple[Float[Array, "atoms 3"], Bool[Array, "atoms 3"]]:
    """The atoms in units of length, displaced by shakes, and which numbers were bad."""
    kind, shape = request.kind, request.positions.shape
    shaken = (kind == MoveKind.SHAKE) | (kind == MoveKind.SHAKE_FREELY)
    reach = jnp.where(shaken, request.reach, 0)
    noise = draw(request.seed, 0, jnp.arange(3 * shape[0]).reshape(shape), reach.dtype)
    atoms = 1 / request.length * request.positions
    atoms = jnp.where(reach != 0, atoms + reach * (2 * noise - 1), atoms)
    bad = ~(jnp.abs(atoms) <= LIMIT)
    return jnp.where(bad, 0, atoms), bad


def _complete(
    none, subspace, seed, kind, count, reach
) -> tuple[Bool[Array, ""], Float[Array, "atoms 3"]]:
    """Complete the cluster, or random points of the first try that can be completed."""
    _, atoms = none
    start = kind == MoveKind.START
    drop = jnp.where(kind == MoveKind.DROP, count, 0)

    def get_atoms(tries):
        drawn = _draw_in_sphere(seed, TRY_ROUNDS * tries, reach, len(atoms))
        return jnp.where(start, drawn, atoms)

    def try_once(carry):
        tries, *_ = carry
        done, found = complete(
            get_atoms(tries),
            subspace,
            seed,
            TRY_ROUNDS * tries + 1,
            drop=drop,
            exchange=kind == MoveKind.EXCHANGE,
        )
        return tries + 1, done, found

    most = jnp.where(start, TRIES, 1)
    tries, done, found = jax.lax.while_loop(
        lambda carry: (carry[0] < most) & ~carry[1],
        try_once,
        (jnp.zeros((), jnp.int32), jnp.zeros((), bool), atoms),
    )
    return done | start, jnp.where(done, found, get_atoms(tries - 1))


def _draw_in_sphere(seed, round, radius, count) -> Float[Array, "count 3"]:
    index = jnp.arange(3 * count).reshape(count, 3)
    out, height, turn = draw(seed, round, index, radius.dtype).T
    return (radius * jnp.cbrt(out))[:, None] * get_direction(height, turn)


def _search_surface(
    none, seed, kind
) -> tuple[Bool[Array, ""], Float[Array, "atoms 3"]]:
    """Search the surface of the cluster, or of what `SYMMETRISE` makes of it.

    Returns whether that was possible and worthwhile. Atoms whose places stay occupied
    stay there, but all are placed anew by `SYMMETRISE`.
    """
    _, atoms = none
    count = len(atoms)
    most = count + count_most_sites(count)
    repeat = kind == MoveKind.SYMMETRISE
    places, repeated, origin = repeat_sector(atoms, most, seed, 1)
    padding = jnp.full((most - count, 3), FAR, atoms.dtype)
    places = jnp.where(repeat, places, jnp.concatenate([atoms, padding]))
    first = jnp.where(repeat, repeated, count)
    origin = jnp.where(repeat, origin, 0)

    # A sector may yield more places than atoms: then sites are not needed.
    present = (jnp.arange(count) < first) & (first <= count)
    sites, number = find_sites(places[:count], present)
    number = jnp.where(repeat & (first == count), 0, number)
    index = jnp.arange(most)
    site = sites.at[index - first].get(mode="clip")
    added = (index >= first) & (index < first + number)
    lattice = jnp.where(added[:, None], site, places)
    size = first + number

    occupied, gain = search_surface(
        lattice,
        size,
        first,
        count,
        seed,
        jnp.where(repeat, 2, 1),
        kicks=jnp.where(repeat, SYMMETRISED_KICKS, SURFACE_KICKS),
        most_moved=jnp.where(repeat, SYMMETRISED_MOVED, SURFACE_MOVED),
    )
    worthwhile = jnp.where(kind == MoveKind.SEARCH_SURFACE, WORTHWHILE, GAIN)
    possible = (first >= (count + 2) // 3) & (first < most) & (size >= count)
    stays = occupied[:count] & ~repeat
    new = occupied & (repeat | (index >= count))
    filled = jnp.argsort(~new, stable=True)
    place = jnp.where(stays, index[:count], filled[jnp.cumsum(~stays) - 1])
    return jnp.where(repeat, possible, gain < -worthwhile), origin + lattice[place]


def _move_weakest(
    nowhere, seed, count
) -> tuple[Bool[Array, " atoms"], Float[Array, "atoms 3"]]:
    """Move `count` weakly bound atoms, each to the best of a few vacant sites.

    Returns also which atoms were chosen.
    """
    moved, atoms = nowhere
    index = jnp.arange(len(atoms))

    def move(k, carry):
        moved, atoms = carry
        round = WEAKEST_ROUND + 2 * k
        noise = GAIN * draw(seed, round, index, atoms.dtype)
        scores = score_points(atoms, atoms) + noise
        weakest = jnp.argmax(jnp.where(scores > WORST, scores, WORST))
        others = atoms.at[weakest].set(FAR)
        sites, number = find_sites(others, index != weakest)
        drawn = draw(seed, round + 1, jnp.arange(TRIED_SITES), atoms.dtype)
        tried = sites[jnp.maximum(pick(drawn, number), 0)]
        scores = score_points(tried, others) + TIE * jnp.arange(TRIED_SITES)
        best = tried[jnp.argmin(scores)]
        to = jnp.where(number > 0, best, atoms[weakest])
        return moved.at[weakest].set(True), atoms.at[weakest].set(to)

    return jax.lax.fori_loop(0, count, move, (moved, atoms))
