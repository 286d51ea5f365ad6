"""How optimizers move between minima: hops, and updates at a minimum."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from hopgym import Environment, System, quench, rollout
from hopgym.evaluation.summarise import round_number
from hopgym.optimizers.base import adapt

SAME = 1e-3  # energy by which two structures of one minimum differ at most
DRAWN = 20  # starts whose energies are stored
POINTS = 500  # of the energies of a start
ENLARGED = 2000  # first steps of which every energy is stored, of one start
QUENCHES = 2000  # at a time


def measure(
    system: System, optimizer: Any, *, starts: int, steps: int, every: int, seed: int
) -> dict[str, Any]:
    """Follow an optimizer from random starts.

    Structures are quenched after every so many steps. A hop is a change of the minimum
    from one of them to the next.

    **Arguments:**

    - `system`, `optimizer`, `starts`, `steps`, `seed`: what is run.
    - `every`: steps between quenched structures.

    **Returns:**

    - `energies`: some along the trajectories of some starts, `every_drawn` steps apart.
    - `enlarged`: energies of the first start after each of the first steps.
    - `hops`: number of hops in 1,000 evaluations.
    - `length`: median of the root mean square displacement of a hop, after the best
      rotation.
    - `minima`: number of distinct minima, by their energies, that a start visits.
    - `returns`: share of hops to a minimum in which the start has been before.
    """
    environment, key = Environment(system), jax.random.key(seed)
    frames = min(steps, max(2, steps // every))
    followed = rollout(environment, optimizer, key, starts, steps, frames=frames).frames
    assert followed is not None
    positions = np.swapaxes(followed.positions, 0, 1)  # starts first
    minima, energies = _quench(system, positions)
    is_hop = np.abs(np.diff(energies, axis=1)) > SAME
    lengths = _measure_lengths(minima[:, :-1][is_hop], minima[:, 1:][is_hop])
    labels = _label(energies)
    is_return = _find_returns(labels)[:, 1:] & is_hop
    first = min(ENLARGED, steps)
    near = rollout(environment, optimizer, key, 2, first, frames=first).frames
    assert near is not None
    stride = max(1, frames // POINTS)
    hops = int(is_hop.sum())
    return {
        "every_drawn": stride * every,
        "energies": _round(followed.energy[::stride, :DRAWN].T),
        "enlarged": _round(near.energy[:, 0]),
        "hops": round_number(1000 * hops / (starts * steps)),
        "length": round_number(np.median(lengths) / system.length) if hops else None,
        "minima": round_number(np.mean([len(set(row)) for row in labels.tolist()])),
        "returns": round_number(is_return.sum() / hops) if hops else None,
    }


def measure_updates(
    system: System,
    optimizer: Any,
    minimum: Float[Array, "atoms 3"],
    *,
    steps: int,
    seed: int,
    window: int,
) -> list[float | None]:
    """Sizes of updates while the positions stay at a minimum and the gradient is zero.

    **Returns:** the largest root mean square of each window of steps, in the system's
    unit of length.
    """
    context = Environment(system).context
    policy = adapt(optimizer, system)
    energy, _ = system.energy_and_gradient(minimum)
    zeros = jnp.zeros_like(minimum)

    def step(state: Any, _: None) -> tuple[Any, Float[Array, ""]]:
        update, state = policy.update(
            zeros, state, minimum, value=energy, context=context
        )
        return state, jnp.sqrt(jnp.mean(jnp.sum(update**2, axis=-1)))

    @jax.jit
    def follow(state: Any) -> Float[Array, " steps"]:
        return jax.lax.scan(step, state, length=steps)[1]

    sizes = follow(policy.init(minimum, key=jax.random.key(seed), context=context))
    whole = np.asarray(sizes)[: steps // window * window].reshape(-1, window)
    return [round_number(size / system.length) for size in whole.max(axis=1)]


def _quench(system: System, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Quench structures of all starts and frames, some at a time."""
    shape = positions.shape[:2]
    flat = positions.reshape(-1, *positions.shape[2:])
    pieces = [
        quench(system, jnp.asarray(flat[k : k + QUENCHES]))
        for k in range(0, len(flat), QUENCHES)
    ]
    minima = np.concatenate([np.asarray(piece.positions) for piece in pieces])
    energies = np.concatenate([np.asarray(piece.energy) for piece in pieces])
    return minima.reshape(positions.shape), energies.reshape(shape)


def _measure_lengths(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Root mean square displacements after the best rotation.

    W. Kabsch, Acta Cryst. A 32, 922 (1976).
    """
    before, after = (x - x.mean(axis=1, keepdims=True) for x in (before, after))
    singular = np.linalg.svd(np.swapaxes(before, 1, 2) @ after, compute_uv=False)
    overlap = np.linalg.det(np.swapaxes(before, 1, 2) @ after)
    singular[:, 2] *= np.where(overlap < 0, -1, 1)
    squares = (before**2 + after**2).sum(axis=(1, 2)) - 2 * singular.sum(axis=1)
    return np.sqrt(np.maximum(squares, 0) / before.shape[1])


def _label(energies: np.ndarray) -> np.ndarray:
    """Number minima by their energies: those of one differ by less than `SAME`."""
    order = np.sort(energies, axis=None)
    starts = order[np.append(True, np.diff(order) > SAME)]
    return np.searchsorted(starts, energies, side="right")


def _find_returns(labels: np.ndarray) -> Bool[np.ndarray, "starts frames"]:
    """Whether each minimum was visited earlier by the same start."""
    found = np.zeros(labels.shape, bool)
    for row, own in zip(labels.tolist(), found, strict=True):
        seen: set[int] = set()
        for k, label in enumerate(row):
            own[k] = label in seen
            seen.add(label)
    return found


def _round(values: np.ndarray) -> list[Any]:
    """Energies with two decimals; the high ones are cut off, since they diverge."""
    return np.round(np.minimum(np.asarray(values, float), 1e3), 2).tolist()
