"""Problems for evosax: energies of positions, and meta-losses of weights.

```python
from evosax.algorithms import CMA_ES
from hopgym.evolution import ClusterProblem

problem = ClusterProblem("LJ-7")
strategy = CMA_ES(population_size=16, solution=problem.sample(key))
```

Problems implement `init`, `sample` and `eval` of evosax, which minimises the fitness.
Their state counts evaluations of energy and gradient.
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

from hopgym._unrolled_random import unroll
from hopgym.meta.unroll import check_loss, meta_loss
from hopgym.systems import System, get_system


@struct.dataclass
class ProblemState:
    """Counters of a problem.

    **Attributes:**

    - `counter`: number of calls of `eval`.
    - `evaluations`: number of energy+gradient evaluations, without those of the final
      polish of each run (see [`hopgym.polish`][]).
    """

    counter: Int[Array, ""]
    evaluations: Int[Array, ""]


class _AbstractProblem(Problem):
    """A problem whose state is a `ProblemState`."""

    @functools.partial(jax.jit, static_argnames=("self",))
    def init(self, key: PRNGKeyArray) -> ProblemState:
        """Initial state, with all counters at zero."""
        zero = jnp.zeros((), jnp.int32)
        return ProblemState(counter=zero, evaluations=zero)


def _resolve_system(system: System | str) -> System:
    return get_system(system) if isinstance(system, str) else system


def _count(state: ProblemState, evaluations: int) -> ProblemState:
    return ProblemState(
        counter=state.counter + 1, evaluations=state.evaluations + evaluations
    )


class ClusterProblem(_AbstractProblem):
    """Minimise the energy: solutions are positions `(atoms, 3)`.

    **Arguments:**

    - `system`: a [`hopgym.System`][] or its name.

    **Raises:** `KeyError` or `ValueError` for an unknown name.
    """

    def __init__(self, system: System | str):
        self.system = _resolve_system(system)

    @functools.partial(jax.jit, static_argnames=("self",))
    def eval(
        self,
        key: PRNGKeyArray,
        solutions: Float[Array, "population atoms 3"],
        state: ProblemState,
    ) -> tuple[Float[Array, " population"], ProblemState, dict[str, Array]]:
        """Energies, the updated state, and the number of hits."""
        energies, _ = jax.vmap(self.system.energy_and_gradient)(solutions)
        state = _count(state, len(solutions))
        return energies, state, {"hits": self.system.is_hit(energies).sum()}

    @functools.partial(jax.jit, static_argnames=("self",))
    def sample(self, key: PRNGKeyArray) -> Float[Array, "atoms 3"]:
        """Draw initial positions as [`hopgym.System.sample`][] does."""
        return self.system.sample(key)


class OptimizerProblem(_AbstractProblem):
    """Minimise the meta-loss: solutions are the weights of an optimizer.

    Each `eval` draws random starts, which all candidates share.

    **Arguments:**

    - `optimizer`: an optimizer whose floating-point arrays are the solution, for
      example `Learn2Hop(key)` or `hopgym.optimizers.load("learn2hop-lj13-esmc")`.
    - `systems`: names or [`hopgym.System`][] objects.
    - `starts`: number of starts per system and candidate.
    - `unroll`: number of updates per run.
    - `loss`: kind of meta-loss, see [`hopgym.meta.meta_loss`][].
    - `spread`: standard deviation of `sample` about the weights of `optimizer`.

    **Raises:** `KeyError` or `ValueError` for an unknown system; `ValueError` for an
    unknown loss, no systems, or `starts` or `unroll` below 1.
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
        if min(starts, unroll, len(systems)) < 1:
            raise ValueError(
                "at least one system, one start and one update are needed, got "
                f"{len(systems)} systems, starts={starts}, unroll={unroll}"
            )
        self.weights, self._frozen = eqx.partition(optimizer, eqx.is_inexact_array)
        self.systems = tuple(_resolve_system(system) for system in systems)
        check_loss(loss, *self.systems)
        self.starts, self.unroll, self.loss, self.spread = starts, unroll, loss, spread

    def optimizer(self, solution: PyTree[Array]) -> Any:
        """The optimizer with the weights of a solution."""
        return eqx.combine(solution, self._frozen)

    @functools.partial(jax.jit, static_argnames=("self",))
    def eval(
        self, key: PRNGKeyArray, solutions: PyTree[Array], state: ProblemState
    ) -> tuple[Float[Array, " population"], ProblemState, dict[str, Array]]:
        """Mean meta-losses, the updated state, and the meta-losses of each system."""

        def evaluate_system(number: int, system: System) -> Array:
            keys = jax.random.split(jax.random.fold_in(key, number), self.starts)

            def run(weights, key):
                return meta_loss(
                    self.optimizer(weights), system, key, self.unroll, self.loss
                )

            run_starts = jax.vmap(run, in_axes=(None, 0))
            return jax.vmap(run_starts, in_axes=(0, None))(solutions, keys).mean(1)

        losses = {s.name: evaluate_system(k, s) for k, s in enumerate(self.systems)}
        population = len(jax.tree.leaves(solutions)[0])
        runs = population * self.starts * len(self.systems)
        state = _count(state, runs * (self.unroll + 1))
        return jnp.stack([*losses.values()]).mean(0), state, losses

    @functools.partial(jax.jit, static_argnames=("self",))
    def sample(self, key: PRNGKeyArray) -> PyTree[Array]:
        """Draw weights from a normal distribution about those of `optimizer`."""
        leaves, structure = jax.tree.flatten(self.weights)
        keys = jax.random.split(unroll(key), len(leaves))
        noisy = [
            x + self.spread * jax.random.normal(k, x.shape, x.dtype)
            for k, x in zip(keys, leaves, strict=True)
        ]
        return jax.tree.unflatten(structure, noisy)
