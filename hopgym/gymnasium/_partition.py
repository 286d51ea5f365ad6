"""Partition of an MDP into arrays and static parts, and packing of its outputs."""

from __future__ import annotations

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from hopgym.environment import State
from hopgym.rl.mdp import MDP

REAL_INFO = ("energy", "best_energy")
INTEGER_INFO = ("success", "first_hit", "step", "evaluations", "faults")


@dataclasses.dataclass(frozen=True)
class StaticMDP:
    """An MDP without its arrays: the static argument of compiled functions.

    **Arguments:**

    - `structure`: tree structure of the MDP.
    - `others`: leaves that are not arrays, with `None` in place of arrays.
    - `packed`: whether outputs are packed for the transfer to NumPy.
    """

    structure: Any
    others: tuple[Any, ...]
    packed: bool

    def combine(self, arrays: list) -> MDP:
        """Rebuild the MDP with these arrays."""
        leaves = [
            other if array is None else array
            for array, other in zip(arrays, self.others, strict=True)
        ]
        return jax.tree.unflatten(self.structure, leaves)

    def collect_outputs(
        self, mdp: MDP, state: State, reward, terminated, truncated
    ) -> Any:
        """Outputs of a step of one replica: Gymnasium's, or three arrays if packed.

        The arrays are the observation, the real outputs and the integer ones.
        """
        observation = mdp.observe(state)
        info = mdp.info(state)
        if not self.packed:
            return observation, reward, terminated, truncated, info
        reals = [reward, *(info[name] for name in REAL_INFO)]
        integers = [terminated, truncated, *(info[name] for name in INTEGER_INFO)]
        return (
            observation,
            jnp.stack(reals),
            jnp.stack([number.astype(jnp.int32) for number in integers]),
        )


def partition(mdp: MDP, packed: bool) -> tuple[list, StaticMDP]:
    """Partition an MDP into its arrays and the rest, without the system's names.

    So systems that differ only in their names share compiled functions.
    """
    system = mdp.environment.system
    nameless = dataclasses.replace(
        system, name="", elements=("",) * len(system.elements), reference_source=""
    )
    mdp = eqx.tree_at(lambda mdp: mdp.environment.system, mdp, nameless)
    leaves, structure = jax.tree.flatten(mdp)
    arrays = [leaf if eqx.is_array(leaf) else None for leaf in leaves]
    others = tuple(None if eqx.is_array(leaf) else leaf for leaf in leaves)
    return arrays, StaticMDP(structure, others, packed)


def drop_compiled(attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes of an environment that can be pickled: compiled ones cannot."""
    compiled = ("_arrays", "_reset", "_step")
    return {name: one for name, one in attributes.items() if name not in compiled}


def unpack_outputs(outputs) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
    """Unpack outputs into Gymnasium's, as writable NumPy arrays."""
    observation, reals, integers = jax.tree.map(np.array, outputs)
    info = {name: reals[..., i + 1] for i, name in enumerate(REAL_INFO)}
    info |= {name: integers[..., i + 2] for i, name in enumerate(INTEGER_INFO)}
    info["success"] = info["success"].astype(bool)
    terminated, truncated = integers[..., 0].astype(bool), integers[..., 1].astype(bool)
    return observation, reals[..., 0].astype(float), terminated, truncated, info
