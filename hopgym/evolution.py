"""Problems for evosax: where a cluster lies, and what an optimizer's weights are.

```python
from evosax.algorithms import CMA_ES
from hopgym.evolution import ClusterProblem

problem = ClusterProblem("LJ-7")
strategy = CMA_ES(population_size=16, solution=problem.sample(key))
```

A problem has `init`, `sample` and `eval` as those of evosax, and its state counts the
energy+gradient evaluations. Strategies minimise.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from evosax.problems.problem import Problem
from flax import struct
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from hopgym.meta.unroll import LOSS_KINDS, meta_loss
from hopgym.systems import System, get_system


@struct.dataclass
class ProblemState:
    """How often `eval` was called, and the evaluations of searches so far.

    The polish at the end of a run (see [`hopgym.polish`][]) is not counted.
    """

    counter: Int[Array, ""]
    evaluations: Int[Array, ""]


class _Problem(Problem):
    """What both have: a count, and methods that are compiled once for an instance."""

    @functools.partial(jax.jit, static_argnames=("self",))
    def init(self, key: PRNGKeyArray) -> ProblemState:
        """A state that has counted nothing."""
        none = jnp.zeros((), jnp.int32)
        return ProblemState(counter=none, evaluations=none)


def _known(system: System | str) -> System:
    return get_system(system) if isinstance(system, str) else system


def _after(state: ProblemState, evaluations: int) -> ProblemState:
    return ProblemState(
        counter=state.counter + 1, evaluations=state.evaluations + evaluations
    )


class ClusterProblem(_Problem):
    """Solutions are positions `(atoms, 3)`, fitness is the energy.

    **Arguments:**

    - `system`: a [`hopgym.System`][] or its name.

    **Raises:** `KeyError` or `ValueError` for an unknown name.
    """

    def __init__(self, system: System | str):
        self.system = _known(system)

    @functools.partial(jax.jit, static_argnames=("self",))
    def eval(
        self,
        key: PRNGKeyArray,
        solutions: Float[Array, "population atoms 3"],
        state: ProblemState,
    ) -> tuple[Float[Array, " population"], ProblemState, dict[str, Array]]:
        """Energies, the state after them, and metrics."""
        energies, _ = jax.vmap(self.system.energy_and_gradient)(solutions)
        state = _after(state, len(solutions))
        return energies, state, {"hits": self.system.is_hit(energies).sum()}

    @functools.partial(jax.jit, static_argnames=("self",))
    def sample(self, key: PRNGKeyArray) -> Float[Array, "atoms 3"]:
        """A random start: harmonic initialisation."""
        return self.system.sample(key)


class OptimizerProblem(_Problem):
    """Solutions are weights of an optimizer, fitness is the meta-loss.

    Each candidate runs from the same random starts, new ones in every call of `eval`.

    **Arguments:**

    - `optimizer`: of which the inexact arrays are the solution, for example
      `Learn2Hop(key)` or `hopgym.optimizers.load("learn2hop-lj13-esmc")`.
    - `systems`: names or [`hopgym.System`][]s.
    - `starts`: of each system for each candidate.
    - `unroll`: updates of a run.
    - `loss`: a kind of [`hopgym.meta.meta_loss`][].
    - `spread`: standard deviation of `sample` about the given weights.

    **Raises:** `KeyError` or `ValueError` for an unknown system, `ValueError` for an
    unknown loss or numbers that make no sense.
    """

    def __init__(
        self,
        optimizer: Any,
        systems: Sequence[System | str],
        *,
        starts: int = 8,
        unroll: int = 2000,
        loss: str = "best",
        spread: float = 0.1,
    ):
        if loss not in LOSS_KINDS:
            raise ValueError(f"a meta-loss is one of {LOSS_KINDS}, got {loss!r}")
        if min(starts, unroll, len(systems)) < 1:
            raise ValueError(
                "there must be systems, starts and updates, got "
                f"{len(systems)} systems, starts={starts}, unroll={unroll}"
            )
        self.weights, self._frozen = eqx.partition(optimizer, eqx.is_inexact_array)
        self.systems = tuple(
            get_system(s) if isinstance(s, str) else s for s in systems
        )
        self.starts, self.unroll, self.loss, self.spread = starts, unroll, loss, spread

    def optimizer(self, solution: PyTree[Array]) -> Any:
        """The optimizer with these weights."""
        return eqx.combine(solution, self._frozen)

    @functools.partial(jax.jit, static_argnames=("self",))
    def eval(
        self, key: PRNGKeyArray, solutions: PyTree[Array], state: ProblemState
    ) -> tuple[Float[Array, " population"], ProblemState, dict[str, Array]]:
        """Mean meta-losses, the state after them, and metrics by system."""

        def of_system(number: int, system: System) -> Array:
            keys = jax.random.split(jax.random.fold_in(key, number), self.starts)

            def one(weights, key):
                return meta_loss(
                    self.optimizer(weights), system, key, self.unroll, self.loss
                )

            of_starts = jax.vmap(one, in_axes=(None, 0))
            return jax.vmap(of_starts, in_axes=(0, None))(solutions, keys).mean(1)

        losses = {s.name: of_system(k, s) for k, s in enumerate(self.systems)}
        population = len(jax.tree.leaves(solutions)[0])
        runs = population * self.starts * len(self.systems)
        state = _after(state, runs * (self.unroll + 1))
        return jnp.stack([*losses.values()]).mean(0), state, losses

    @functools.partial(jax.jit, static_argnames=("self",))
    def sample(self, key: PRNGKeyArray) -> PyTree[Array]:
        """The given weights and some noise."""
        leaves, structure = jax.tree.flatten(self.weights)
        keys = jax.random.split(key, len(leaves))
        noisy = [
            x + self.spread * jax.random.normal(k, x.shape, x.dtype)
            for k, x in zip(keys, leaves, strict=True)
        ]
        return jax.tree.unflatten(structure, noisy)
