"""Evolution strategies of evosax as optimizers: one candidate per evaluation.

R. T. Lange, arXiv:2212.04180 (evosax).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import sequential_vmap
from jaxtyping import Array, Float, Int, PRNGKeyArray

from hopgym._batching import batched_cond
from hopgym._checks import POSITIVE, check_fields, check_integer, check_number
from hopgym._converters import to_float
from hopgym._keys import as_key
from hopgym._unrolled_random import unroll
from hopgym.context import Context
from hopgym.optimizers.base import AbstractOptimizer

MAX_POPULATION = 100_000


class EvolutionState(eqx.Module):
    """State of the strategy and of its current generation.

    **Attributes:**

    - `key`: random key of the following generations.
    - `strategy`: state of the strategy.
    - `origin`: the start of the search.
    - `population`: candidates, as displacements from `origin` in units of length.
    - `energies`: energies of the evaluated candidates.
    - `asked`: number of candidates of this generation proposed so far.
    """

    key: PRNGKeyArray
    strategy: Any
    origin: Float[Array, "atoms 3"]
    population: Float[Array, "size atoms 3"]
    energies: Float[Array, " size"]
    asked: Int[Array, ""]


class Evolution(AbstractOptimizer[EvolutionState]):
    """A strategy of evosax, which uses energies but no gradients.

    Each update proposes the next candidate of the generation. When all have been
    evaluated, the strategy is told their energies and asked for the next generation.
    The first generation is drawn around the start, whose own energy is not used.

    **Arguments:**

    - `make`: a function that returns a strategy of evosax; it is called with
      `population_size=` and `solution=`.
    - `population`: number of candidates per generation.
    - `spread`: standard deviation of the first generation, in units of length.

    **Raises:** `ValueError` for a population that is below 4, above 100,000 or odd
    (some strategies sample pairs), or a spread that is not positive.
    """

    make: Callable[..., Any] = eqx.field(static=True)
    population: int = eqx.field(static=True)
    spread: Float[Array, ""] = eqx.field(converter=to_float, default=0.3)

    def __check_init__(self):
        check_integer("population", self.population, 4, MAX_POPULATION)
        if self.population % 2:
            raise ValueError(f"population must be even, got {self.population}")
        check_fields(self, spread=POSITIVE)

    def init(
        self, positions: Float[Array, "atoms 3"], *, key: PRNGKeyArray, context: Context
    ) -> EvolutionState:
        strategy = self._make_strategy(positions.shape[0])
        onward, init_key, ask_key = jax.random.split(as_key(key), 3)
        ask_key = unroll(ask_key)
        unknown = jnp.full(self.population, jnp.inf, positions.dtype)
        shape = (self.population, *positions.shape)
        first = self.spread * jax.random.normal(ask_key, shape, positions.dtype)
        if _has_mean(strategy):
            params = _make_params(strategy, self.spread)
            state = strategy.init(init_key, jnp.zeros_like(positions), params)
            first, state = strategy.ask(ask_key, state, params)
        else:
            state = strategy.init(init_key, first, unknown, strategy.default_params)
        return EvolutionState(
            key=onward,
            strategy=jax.tree.map(jnp.asarray, state),
            origin=positions,
            population=first,
            energies=unknown,
            asked=jnp.zeros((), jnp.int32),
        )

    def update(
        self,
        gradient: Float[Array, "atoms 3"],
        state: EvolutionState,
        positions: Float[Array, "atoms 3"],
        *,
        value: Float[Array, ""],
        context: Context,
    ) -> tuple[Float[Array, "atoms 3"], EvolutionState]:
        last = state.asked - 1
        known = jnp.where(
            jnp.arange(self.population) == last, value, state.energies
        ).astype(state.energies.dtype)
        complete = state.asked == self.population
        generation = (state.key, state.strategy, state.population)
        key, strategy, population = batched_cond(
            complete,
            # One replica after the other: threads of jaxlib deadlock when two of them
            # factorise batches of matrices.
            sequential_vmap(self._advance),
            generation,
            known,
            self.spread,
        )
        following = jnp.where(complete, 0, state.asked)
        candidate = state.origin + context.length * population[following]
        return candidate - positions, EvolutionState(
            key=key,
            strategy=strategy,
            origin=state.origin,
            population=population,
            energies=known,
            asked=following + 1,
        )

    def _make_strategy(self, atoms: int) -> Any:
        with jax.ensure_compile_time_eval():
            return self.make(
                population_size=self.population, solution=np.zeros((atoms, 3))
            )

    def _advance(self, generation, energies, spread):
        """Tell the strategy a generation's energies, and ask it for the next one."""
        key, state, population = generation
        strategy = self._make_strategy(population.shape[1])
        params = _make_params(strategy, spread)
        key, tell_key, ask_key = jax.random.split(unroll(key), 3)
        told, _ = strategy.tell(tell_key, population, energies, state, params)
        asked, told = strategy.ask(ask_key, told, params)
        state, population = jax.tree.map(
            lambda new, old: jnp.asarray(new, old.dtype),
            (told, asked),
            (state, population),
        )
        return key, state, population


def _has_mean(strategy: Any) -> bool:
    """Whether a strategy samples a distribution instead of keeping a population."""
    from evosax.algorithms.distribution_based.base import DistributionBasedAlgorithm

    return isinstance(strategy, DistributionBasedAlgorithm)


def _make_params(strategy: Any, spread: Float[Array, ""]) -> Any:
    """Default parameters, with `spread` as the initial standard deviation, if any."""
    params = strategy.default_params
    if hasattr(params, "std_init"):
        params = params.replace(std_init=spread)
    return params


def cma_es(population: int = 40, spread: float = 0.4) -> Evolution:
    """CMA-ES (`evosax.algorithms.CMA_ES`).

    N. Hansen, arXiv:1604.00772.

    **Arguments:** see [`hopgym.optimizers.Evolution`][]. Smaller populations, such as
    the customary 4 + 3 ln(3 N) for N atoms, find low minima less often.
    """
    return Evolution(_cma_es, population, spread)


def _cma_es(**options: Any) -> Any:
    from evosax.algorithms import CMA_ES

    return CMA_ES(**options)


def open_es(
    population: int = 32, spread: float = 0.02, learning_rate: float = 0.02
) -> Evolution:
    """OpenAI's evolution strategy (`evosax.algorithms.Open_ES`) with Adam.

    T. Salimans et al., arXiv:1703.03864.

    **Arguments:**

    - `population`: number of candidates per generation, even.
    - `spread`: standard deviation of all generations, in units of length.
    - `learning_rate`: learning rate of the mean.
    """
    check_number("learning_rate", learning_rate, POSITIVE)
    make = functools.partial(_open_es, spread=spread, learning_rate=learning_rate)
    return Evolution(make, population, spread)


def _open_es(*, spread: float, learning_rate: float, **options: Any) -> Any:
    import optax
    from evosax.algorithms import Open_ES

    return Open_ES(
        optimizer=optax.adam(learning_rate),
        std_schedule=optax.constant_schedule(spread),
        **options,
    )


def differential_evolution(population: int = 20, spread: float = 0.3) -> Evolution:
    """Differential evolution (`evosax.algorithms.DifferentialEvolution`).

    R. Storn and K. Price, J. Global Optim. 11, 341 (1997).

    **Arguments:** see [`hopgym.optimizers.Evolution`][].
    """
    return Evolution(_differential_evolution, population, spread)


def _differential_evolution(**options: Any) -> Any:
    from evosax.algorithms import DifferentialEvolution

    return DifferentialEvolution(**options)
