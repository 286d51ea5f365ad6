"""A task as arrays and the rest, and the outputs of its steps."""

from __future__ import annotations

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from hopgym.environment import State
from hopgym.rl.mdp import Task

REALS = ("energy", "best_energy")
INTEGERS = ("success", "first_hit", "step", "evaluations", "faults")


@dataclasses.dataclass(frozen=True)
class Layout:
    """All of a task but its arrays: what a compiled function depends on."""

    structure: Any
    others: tuple[Any, ...]
    packed: bool

    def task(self, arrays) -> Task:
        """The task again, of its arrays."""
        leaves = [
            other if array is None else array
            for array, other in zip(arrays, self.others, strict=True)
        ]
        return jax.tree.unflatten(self.structure, leaves)

    def outputs(self, task: Task, state: State, reward, terminated, truncated) -> Any:
        """What a step returns, of one replica; packed for the host if asked for."""
        observation = task.view(state)
        info = task.info(state)
        if not self.packed:
            return observation, reward, terminated, truncated, info
        reals = [reward, *(info[name] for name in REALS)]
        integers = [terminated, truncated, *(info[name] for name in INTEGERS)]
        return (
            observation,
            jnp.stack(reals),
            jnp.stack([number.astype(jnp.int32) for number in integers]),
        )


def split(task: Task, packed: bool) -> tuple[list, Layout]:
    """The arrays of a task, and the rest, without names: systems that differ in
    nothing else share their compiled functions."""
    system = task.environment.system
    nameless = dataclasses.replace(
        system, name="", elements=("",) * len(system.elements), reference_source=""
    )
    task = eqx.tree_at(lambda task: task.environment.system, task, nameless)
    leaves, structure = jax.tree.flatten(task)
    arrays = [leaf if eqx.is_array(leaf) else None for leaf in leaves]
    others = tuple(None if eqx.is_array(leaf) else leaf for leaf in leaves)
    return arrays, Layout(structure, others, packed)


def unpacked(outputs) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
    """Outputs as NumPy arrays of their own, which may be written to."""
    observation, reals, integers = jax.tree.map(np.array, outputs)
    info = {name: reals[..., i + 1] for i, name in enumerate(REALS)}
    info |= {name: integers[..., i + 2] for i, name in enumerate(INTEGERS)}
    info["success"] = info["success"].astype(bool)
    terminated, truncated = integers[..., 0].astype(bool), integers[..., 1].astype(bool)
    return observation, reals[..., 0].astype(float), terminated, truncated, info
