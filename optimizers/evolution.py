"""Evolution strategies of evosax as optimizers: one candidate an evaluation.

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
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from hopgym._batching import batched_cond
from hopgym.context import Context
from hopgym.optimizers.base import AbstractOptimizer, real


class EvolutionState(eqx.Module):
    """The strategy's own state, and how far its generation has been evaluated.

    `asked` candidates of `population`, displacements from `origin` in units of length,
    have been handed out; `energies` are those of the ones before the last.
    """

    key: PRNGKeyArray
    strategy: Any
    origin: Float[Array, "atoms 3"]
    population: Float[Array, "size atoms 3"]
    energies: Float[Array, " size"]
    asked: Int[Array, ""]


class Evolution(AbstractOptimizer[EvolutionState]):
    """A strategy of evosax that looks at energies only.

    Each update hands out the next candidate of the generation; when all are evaluated
    the strategy is told and asked for more. The first generation lies around the
    start, which is evaluated too and not used.

    **Arguments:**

    - `make`: called with `population_size=` and `solution=`, returns a strategy of
      evosax.
    - `population`: candidates of a generation.
    - `spread`: standard deviation of the first generation, in units of length.

    **Raises:** `ValueError` for a population below 4, of which strategies make nothing,
    or an odd one: some ask for pairs.
    """

    make: Callable[..., Any] = eqx.field(static=True)
    population: int = eqx.field(static=True)
    spread: Float[Array, ""]

    def __init__(
        self, make: Callable[..., Any], population: int, spread: ArrayLike = 0.3
    ):
        if population < 4 or population % 2:
            raise ValueError(
                f"a population must be an even number from 4 on, got {population}"
            )
        self.make = make
        self.population = population
        self.spread = real(spread)

    def init(
        self, positions: Float[Array, "atoms 3"], *, key: PRNGKeyArray, context: Context
    ) -> EvolutionState:
        strategy = self._strategy(positions.shape[0])
        key, init_key, ask_key = jax.random.split(key, 3)
        none = jnp.full(self.population, jnp.inf, positions.dtype)
        shape = (self.population, *positions.shape)
        first = self.spread * jax.random.normal(ask_key, shape, positions.dtype)
        if _has_mean(strategy):
            params = _params(strategy, self.spread)
            state = strategy.init(init_key, jnp.zeros_like(positions), params)
            first, state = strategy.ask(ask_key, state, params)
        else:
            state = strategy.init(init_key, first, none, strategy.default_params)
        return EvolutionState(
            key=key,
            strategy=jax.tree.map(jnp.asarray, state),
            origin=positions,
            population=first,
            energies=none,
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
        words = jax.random.key_data(state.key)
        generation = (words, state.strategy, state.population)
        words, strategy, population = batched_cond(
            complete,
            # One replica after the other: jaxlib's threads wait for each other for ever
            # when two of them decompose batches of matrices.
            sequential_vmap(
                functools.partial(self._next, jax.random.key_impl(state.key))
            ),
            generation,
            generation,
            known,
            self.spread,
        )
        turn = jnp.where(complete, 0, state.asked)
        candidate = state.origin + context.length * population[turn]
        return candidate - positions, EvolutionState(
            key=jax.random.wrap_key_data(words, impl=jax.random.key_impl(state.key)),
            strategy=strategy,
            origin=state.origin,
            population=population,
            energies=known,
            asked=turn + 1,
        )

    def _strategy(self, atoms: int) -> Any:
        with jax.ensure_compile_time_eval():
            return self.make(
                population_size=self.population, solution=np.zeros((atoms, 3))
            )

    def _next(self, kind, generation, energies, spread):
        """Tell a generation's energies, and ask for the next one."""
        words, state, population = generation
        strategy = self._strategy(population.shape[1])
        params = _params(strategy, spread)
        key, tell_key, ask_key = jax.random.split(
            jax.random.wrap_key_data(words, impl=kind), 3
        )
        told, _ = strategy.tell(tell_key, population, energies, state, params)
        asked, told = strategy.ask(ask_key, told, params)
        like = (words, state, population)
        return jax.tree.map(
            lambda new, old: jnp.asarray(new, old.dtype),
            (jax.random.key_data(key), told, asked),
            like,
        )


def _has_mean(strategy: Any) -> bool:
    """Whether a strategy samples a distribution, or keeps a population."""
    from evosax.algorithms.distribution_based.base import DistributionBasedAlgorithm

    return isinstance(strategy, DistributionBasedAlgorithm)


def _params(strategy: Any, spread: Float[Array, ""]) -> Any:
    """Defaults, with the spread of the first generation where it is a parameter."""
    params = strategy.default_params
    if hasattr(params, "std_init"):
        params = params.replace(std_init=spread)
    return params


def cma_es(population: int = 40, spread: float = 0.4) -> Evolution:
    """CMA-ES (`evosax.algorithms.CMA_ES`).

    N. Hansen, arXiv:1604.00772.

    **Arguments:** see [`hopgym.optimizers.Evolution`][]. Small populations, such as the
    usual 4 + 3 ln(3 N), find less here.
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

    - `population`: candidates of a generation, an even number.
    - `spread`: of candidates about the mean at all times, in units of length.
    - `learning_rate`: of the mean.
    """
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
