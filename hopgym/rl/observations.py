"""Observations: what an agent sees of a state, as bounded float32 arrays."""

from __future__ import annotations

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int

from hopgym._checks import check_integer
from hopgym.environment import State
from hopgym.rl.rewards import squash_energy
from hopgym.systems import System

# Components of reduced gradients are clipped to this limit, so that their asinh is
# below `GRADIENT_BOUND`.
GRADIENT_LIMIT = 1e8
GRADIENT_BOUND = 20.0

# Vectors to neighbours are shortened to this length, in reduced units.
NEIGHBOUR_BOUND = 5.0

Entries = dict[str, Float32[Array, "..."]]
Bounds = dict[str, Float32[np.ndarray, "..."]]


class AbstractObservation(eqx.Module):
    """The observation of a state: float32 entries in reduced units, all bounded.

    `observe` and `bounds` return the same entries in the same order, which is also
    their order in the observation vector. To add an observation, write a final class
    and add it to `OBSERVATIONS`.
    """

    @property
    @abc.abstractmethod
    def is_dict(self) -> bool:
        """Whether an agent gets the entries by name instead of as one vector."""

    @abc.abstractmethod
    def observe(self, state: State, system: System, horizon: Int[Array, ""]) -> Entries:
        """Entries by name, within `bounds` for every state.

        **Arguments:**

        - `state`: the observed [`hopgym.State`][].
        - `system`: a [`hopgym.System`][].
        - `horizon`: number of steps at which the observed fraction is 1.
        """

    @abc.abstractmethod
    def bounds(self, system: System) -> Bounds:
        """Largest absolute values of the entries, as arrays of the same shapes.

        Reads the values of the system's arrays, which must not be traced.
        """


class FlatObservation(AbstractObservation):
    """Positions and gradient by component, as one vector.

    Its entries are

    - `positions` `(atoms, 3)`: relative to the centroid, clipped to 2 N^(1/3), about
      four radii of a compact cluster; in a periodic box, wrapped about its centre;
    - `gradient` `(atoms, 3)`: asinh(gradient x length / energy unit), within 20;
    - `energy` `(1,)`: h(E), see [`hopgym.rl.rewards.squash_energy`][];
    - `step` `(1,)`: fraction of the horizon that has passed;
    - `species` `(atoms,)`: evenly spaced in [-1, 1], 0 if there is only one.

    **Arguments:**

    - `system`: a [`hopgym.System`][].
    """

    position_bound: Float32[Array, "3"]

    def __init__(self, system: System):
        self.position_bound = _compute_position_bound(system)

    @property
    def is_dict(self) -> bool:
        return False

    def observe(self, state: State, system: System, horizon: Int[Array, ""]) -> Entries:
        positions = centre_positions(state, system)
        gradient = jnp.arcsinh(reduce_gradient(state, system))
        return {
            "positions": clip_to(positions, self.position_bound),
            "gradient": clip_to(gradient, GRADIENT_BOUND),
            **_observe_progress(state, system, horizon),
        }

    def bounds(self, system: System) -> Bounds:
        return {
            "positions": np.tile(np.asarray(self.position_bound), (system.atoms, 1)),
            "gradient": np.full((system.atoms, 3), GRADIENT_BOUND, np.float32),
            **_get_progress_bounds(system),
        }


class DictObservation(AbstractObservation):
    """The entries of another observation, by name.

    **Arguments:**

    - `vector`: the other observation, for example a
      [`hopgym.rl.observations.FlatObservation`][].
    """

    vector: AbstractObservation

    @property
    def is_dict(self) -> bool:
        return True

    def observe(self, state: State, system: System, horizon: Int[Array, ""]) -> Entries:
        return self.vector.observe(state, system, horizon)

    def bounds(self, system: System) -> Bounds:
        return self.vector.bounds(system)


class NeighbourObservation(AbstractObservation):
    """Nearest neighbours of each atom, as one vector.

    Its entries are

    - `gradient` `(atoms, 3)`: gradient of each atom in reduced units, with its length
      |g| replaced by asinh |g|, within 20;
    - `energy`, `step`, `species`: as in [`hopgym.rl.observations.FlatObservation`][];
    - `neighbours` `(atoms, k, 3)`: vectors from each atom to its k nearest neighbours
      (in a periodic box, to their nearest images), nearest first, in units of the
      system's length; longer ones are shortened to 5;
    - `kinds` `(atoms, k)`: species of the neighbours, if the system has several.

    The entries are invariant under translation of the cluster and rotate with it. Those
    of an atom do not depend on the order of the others (except at equal distances).

    **Arguments:**

    - `count`: number k of neighbours; at most all other atoms.

    **Raises:** `ValueError` if `count` is not an integer of at least 1.
    """

    count: int = eqx.field(static=True)

    def __init__(self, count: int):
        self.count = check_integer("count", count, 1)

    @property
    def is_dict(self) -> bool:
        return False

    def observe(self, state: State, system: System, horizon: Int[Array, ""]) -> Entries:
        gradient = compress_gradient(reduce_gradient(state, system))
        vectors, indices = find_neighbours(state, system, self._count_in(system))
        progress = _observe_progress(state, system, horizon)
        seen = {"gradient": gradient, **progress, "neighbours": vectors}
        if len(system.elements) > 1:
            seen["kinds"] = progress["species"][indices]
        return seen

    def bounds(self, system: System) -> Bounds:
        shape = (system.atoms, self._count_in(system))
        bounds = {
            "gradient": np.full((system.atoms, 3), GRADIENT_BOUND, np.float32),
            **_get_progress_bounds(system),
            "neighbours": np.full((*shape, 3), NEIGHBOUR_BOUND, np.float32),
        }
        if len(system.elements) > 1:
            bounds["kinds"] = np.ones(shape, np.float32)
        return bounds

    def _count_in(self, system: System) -> int:
        return min(self.count, system.atoms - 1)


OBSERVATIONS: dict[str, Callable[[System, int], AbstractObservation]] = {
    "flat": lambda system, neighbours: FlatObservation(system),
    "dict": lambda system, neighbours: DictObservation(FlatObservation(system)),
    "neighbours": lambda system, neighbours: NeighbourObservation(neighbours),
}
"""Constructors of the observations by name, called with system and `neighbours`."""


def flatten(entries: Entries) -> Float32[Array, " features"]:
    """Concatenate the entries of an observation to one vector, in their order."""
    return jnp.concatenate([entry.reshape(-1) for entry in entries.values()])


def clip_to(
    values: Float[Array, "..."], bound: float | Float32[Array, "3"]
) -> Float32[Array, "..."]:
    """Convert to single precision and clip to [-bound, bound]; NaN becomes 0."""
    single = jnp.nan_to_num(values.astype(jnp.float32))
    return jnp.clip(single, -bound, bound)


def centre_positions(state: State, system: System) -> Float[Array, "atoms 3"]:
    """Reduced positions relative to the centroid, or to the box centre and wrapped."""
    if system.box is None:
        positions = state.positions - jnp.mean(state.positions, axis=0)
    else:
        cells = jnp.floor(state.positions / system.box)
        positions = state.positions - (cells + 0.5) * system.box
    return positions / system.length


def reduce_gradient(state: State, system: System) -> Float[Array, "atoms 3"]:
    """Gradient in reduced units, with components clipped to `GRADIENT_LIMIT`."""
    gradient = state.gradient * (system.length / system.energy_unit)
    return jnp.clip(gradient, -GRADIENT_LIMIT, GRADIENT_LIMIT)


def compress_gradient(
    gradient: Float[Array, "atoms 3"],
) -> Float32[Array, "atoms 3"]:
    """Replace the length |g| of each atom's gradient by asinh |g|."""
    length = jnp.linalg.norm(gradient, axis=1, keepdims=True)
    length = jnp.maximum(length, 1e-12)
    return clip_to(gradient * (jnp.arcsinh(length) / length), GRADIENT_BOUND)


def scale_species(system: System) -> Float32[Array, " atoms"]:
    """Species of each atom, evenly spaced in [-1, 1]; 0 if there is only one."""
    kinds = len(system.elements)
    return clip_to((2 * system.species - (kinds - 1)) / max(kinds - 1, 1), 1.0)


def find_neighbours(
    state: State, system: System, count: int
) -> tuple[Float32[Array, "atoms neighbours 3"], Int[Array, "atoms neighbours"]]:
    """Vectors from each atom to its nearest neighbours, and their indices.

    Nearest first; in a periodic box, to the nearest images. In reduced units, shortened
    to `NEIGHBOUR_BOUND` if longer.

    **Arguments:**

    - `state`, `system`: the structure.
    - `count`: number of neighbours, less than the number of atoms.
    """
    apart = state.positions[None] - state.positions[:, None]
    if system.box is not None:
        apart = apart - system.box * jnp.round(apart / system.box)
    apart = apart / system.length
    square = jnp.sum(apart**2, axis=-1)
    square = jnp.where(jnp.eye(system.atoms, dtype=bool), jnp.inf, square)
    _, indices = jax.lax.top_k(-square, count)
    vectors = jnp.take_along_axis(apart, indices[:, :, None], axis=1)
    length = jnp.linalg.norm(vectors, axis=-1, keepdims=True)
    vectors = vectors * (NEIGHBOUR_BOUND / jnp.maximum(length, NEIGHBOUR_BOUND))
    return clip_to(vectors, NEIGHBOUR_BOUND), indices


def _compute_position_bound(system: System) -> Float32[Array, "3"]:
    """Largest absolute values of centred positions: 2 N^(1/3), or half the box."""
    if system.box is None:
        return jnp.full(3, 2 * system.atoms ** (1 / 3), jnp.float32)
    return (system.box / (2 * system.length)).astype(jnp.float32)


def _observe_progress(state: State, system: System, horizon: Int[Array, ""]) -> Entries:
    """Entries shared by all observations."""
    energy = squash_energy(state.energy, system.energy_scale)
    return {
        "energy": clip_to(energy[None], 1.0),
        "step": clip_to((state.step / horizon)[None], 1.0),
        "species": scale_species(system),
    }


def _get_progress_bounds(system: System) -> Bounds:
    return {
        "energy": np.ones(1, np.float32),
        "step": np.ones(1, np.float32),
        "species": np.ones(system.atoms, np.float32),
    }
