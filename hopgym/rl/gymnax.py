"""An environment with the functions of gymnax's."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Key, PRNGKeyArray

from hopgym._batching import batched_cond
from hopgym.environment import Environment, State
from hopgym.rl.mdp import Task
from hopgym.rl.observations import flat, in_order
from hopgym.rl.spaces import Box
from hopgym.systems import System, get_system


class Parameters(eqx.Module):
    """What the functions of an environment depend on.

    **Attributes:**

    - `task`: the [`hopgym.rl.mdp.Task`][].
    - `starts`: first states of episodes, with a leading axis, or `None`.
    """

    task: Task
    starts: State | None

    @property
    def max_steps_in_episode(self) -> Int[Array, ""]:
        """The step at which an episode is truncated."""
        return self.task.step_limit


class GymnaxEnvironment:
    """A search as a pair of pure functions, for agents that are trained in JAX.

    `reset` and `step` are those of gymnax, which rejax, purejaxrl and others call
    under `jit`, `vmap` and `scan`; gymnax itself is not needed. Like there, the step
    that ends an episode returns the first observation of the next one.

    A random start costs a thousand steps of relaxation, for hops a quench in
    addition, and within a `vmap` a step that selects between going on and beginning
    anew would pay that for every replica in every step. So the first states are made
    in advance, `starts` of them, and an episode begins with one of these at random.
    An agent might learn a small pool by heart: evaluate it on another `seed`. With
    `starts=0` each start is new and computed only for the replicas that need it;
    it then costs what it costs outside.

    ```python
    environment = GymnaxEnvironment("LJ-13", action="hop", horizon=20)
    parameters = environment.default_params
    observation, state = environment.reset(jax.random.key(0), parameters)
    ```

    **Arguments:**

    - `system`: name of a system, or a [`hopgym.System`][].
    - `outputs`: of `step`: 5, `(observation, state, reward, done, info)`, or 6 as in
      gymnax 1.0, with `terminated, truncated` in place of `done`.
    - `starts`, `seed`: number of first states, and what they depend on.
    - `observation`: `"flat"` or `"neighbours"`.
    - `task`: the other arguments of [`hopgym.rl.mdp.Task`][].

    **Raises:** `ValueError` for arguments that make no sense.
    """

    def __init__(
        self,
        system: str | System,
        *,
        outputs: int = 5,
        starts: int = 512,
        seed: int = 0,
        observation: str = "flat",
        **task: Any,
    ):
        if outputs not in (5, 6):
            raise ValueError(f"outputs must be 5 or 6, got {outputs}")
        if starts < 0:
            raise ValueError(f"starts must not be negative, got {starts}")
        if observation == "dict":
            raise ValueError("observation must be 'flat' or 'neighbours', got 'dict'")
        system = get_system(system) if isinstance(system, str) else system
        made = Task(Environment(system), observation=observation, **task)
        self.name = f"hopgym/{system.name}"
        self.outputs = outputs
        self.default_params = Parameters(
            task=made,
            starts=_first_states(made, jax.random.split(jax.random.key(seed), starts))
            if starts
            else None,
        )

    def reset(
        self, key: PRNGKeyArray, params: Parameters | None = None
    ) -> tuple[Float32[Array, " features"], State]:
        """First observation and state of an episode.

        **Arguments:**

        - `key`: says which start, or from what it is drawn.
        - `params`: by default `default_params`.
        """
        params = self.default_params if params is None else params
        if params.starts is None:
            state = params.task.reset(key)
        else:
            state = _one_of(key, params.starts)
        return flat(params.task.observe(state)), state

    def step(
        self,
        key: PRNGKeyArray,
        state: State,
        action: Float[Array, "..."],
        params: Parameters | None = None,
    ) -> tuple[Any, ...]:
        """What follows an action, see `outputs`; after the end, the next start.

        `info` holds what Gymnasium's does, of the step itself and not of the next
        start, with `terminated`, `truncated`, `discount` (0 where terminated) and
        `final_observation`.

        **Arguments:**

        - `key`: for the next start, if the episode ends.
        - `state`, `params`: as from `reset`.
        - `action`: components in [-1, 1].
        """
        params = self.default_params if params is None else params
        task = params.task
        after = task.step(state, action)
        terminated, truncated = task.terminated(after), task.truncated(after)
        done = terminated | truncated
        last = flat(task.observe(after))
        if params.starts is None:
            first = _renewed(task, key, done, after)
        else:
            first = _one_of(key, params.starts)
        now = jax.tree.map(lambda new, old: jnp.where(done, new, old), first, after)
        info = task.info(after) | {
            "terminated": terminated,
            "truncated": truncated,
            "discount": 1.0 - terminated,
            "final_observation": last,
        }
        reward = task.reward(state, after).astype(jnp.float32)
        ends = (done,) if self.outputs == 5 else (terminated, truncated)
        return flat(task.observe(now)), now, reward, *ends, info

    def action_space(self, params: Parameters | None = None) -> Box:
        """The actions: `3 * atoms` components in [-1, 1]."""
        task = (self.default_params if params is None else params).task
        bound = np.ones(3 * task.environment.system.atoms, np.float32)
        return Box(-bound, bound)

    def observation_space(self, params: Parameters | None = None) -> Box:
        """The observations: one vector."""
        task = (self.default_params if params is None else params).task
        bound = np.concatenate([bound.ravel() for bound in in_order(task.bounds())])
        return Box(-bound, bound)


@eqx.filter_jit
def _first_states(task: Task, keys: Key[Array, " starts"]) -> State:
    return jax.vmap(task.reset)(keys)


def _one_of(key: PRNGKeyArray, starts: State) -> State:
    number = jax.random.randint(key, (), 0, starts.energy.shape[0])
    return jax.tree.map(lambda leaf: leaf[number], starts)


def _renewed(task: Task, key: PRNGKeyArray, done: Array, otherwise: State) -> State:
    """A new start where `done`; work for those replicas only."""
    arrays, rest = eqx.partition(task, eqx.is_array)
    kind = jax.random.key_impl(key)

    def start(arrays, words):
        return eqx.combine(arrays, rest).reset(
            jax.random.wrap_key_data(words, impl=kind)
        )

    return batched_cond(done, start, otherwise, arrays, jax.random.key_data(key))
