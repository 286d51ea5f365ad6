"""Work that only some replicas need: same results, without what is not needed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hopgym import _batching as module
from hopgym._batching import batched_cond, batched_while_loop


def test_batched_cond_selects_under_vmap():
    def compute(otherwise, y):
        return {"a": -otherwise["a"] * y}

    def one(needed, x):
        return batched_cond(needed, compute, {"a": -x}, jnp.asarray(3.0))

    needed = jnp.asarray([True, False, True])
    x = jnp.asarray([1.0, 2.0, 4.0])
    expected = [3.0, -2.0, 12.0]
    np.testing.assert_array_equal(jax.jit(jax.vmap(one))(needed, x)["a"], expected)
    assert [float(one(n, v)["a"]) for n, v in zip(needed, x, strict=True)] == expected


def test_batched_cond_skips_work_that_no_replica_needs():
    """What is skipped cannot have side effects: count them."""
    calls = []

    def compute(x):
        jax.debug.callback(lambda: calls.append(1))
        return x + 1

    run = jax.jit(jax.vmap(lambda needed, x: batched_cond(needed, compute, x)))
    x = jnp.arange(3.0)
    jax.block_until_ready(run(jnp.zeros(3, bool), x))
    jax.effects_barrier()
    assert not calls
    jax.block_until_ready(run(jnp.asarray([False, True, False]), x))
    jax.effects_barrier()
    assert calls


def collatz(start, longest):
    """Steps until 1 is reached, and the largest number met; `loop`'s arguments."""

    def body(carry, start, longest):
        n, steps, largest = carry
        n = jnp.where(n % 2 == 0, n // 2, 3 * n + 1)
        return n, steps + 1, jnp.maximum(largest, n)

    return batched_while_loop(
        lambda start, longest: (start, 0, start),
        lambda carry, start, longest: (carry[0] != 1) & (carry[1] < longest),
        body,
        lambda carry, start, longest: {"steps": carry[1], "largest": carry[2] - start},
        start,
        longest,
    )


def steps_and_largest(n, longest):
    first, steps, largest = n, 0, n
    while n != 1 and steps < longest:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps, largest = steps + 1, max(largest, n)
    return steps, largest - first


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize("count", [0, 1, 3, 4, 50])
def test_loops_in_turn_give_what_each_gives(monkeypatch, count, device):
    monkeypatch.setattr(jax, "default_backend", lambda: device)
    monkeypatch.setattr(module, "LOOPS_PER_CORE", 4)
    monkeypatch.setattr(module.native, "cores", lambda: 1)
    starts = jnp.arange(1, count + 1)
    found = jax.jit(jax.vmap(collatz, in_axes=(0, None)))(starts, 30)
    expected = [steps_and_largest(n, 30) for n in range(1, count + 1)]
    assert found["steps"].tolist() == [steps for steps, _ in expected]
    assert found["largest"].tolist() == [largest for _, largest in expected]


def test_loops_nest_and_may_have_operands_of_their_own(monkeypatch):
    monkeypatch.setattr(module, "LOOPS_PER_CORE", 2)
    monkeypatch.setattr(module.native, "cores", lambda: 1)
    assert int(collatz(6, 30)["steps"]) == 8
    limits = jnp.asarray([3, 5, 0, 9])
    found = jax.vmap(collatz, in_axes=(None, 0))(6, limits)["steps"]
    assert found.tolist() == [3, 5, 0, 8]
    both = jax.vmap(lambda n: jax.vmap(lambda k: collatz(n, k)["steps"])(limits))
    assert both(jnp.asarray([6, 2])).tolist() == [[3, 5, 0, 8], [1, 1, 0, 1]]


def test_a_long_loop_keeps_none_waiting(monkeypatch):
    monkeypatch.setattr(module, "LOOPS_PER_CORE", 4)
    monkeypatch.setattr(module.native, "cores", lambda: 1)
    calls = []

    def body(left, _):
        jax.debug.callback(lambda _: calls.append(1), left)
        return left - 1

    def count_down(left):
        return batched_while_loop(
            lambda n: n, lambda n, _: n > 0, body, lambda n, start: start, left
        )

    lengths = jnp.asarray([100] + 30 * [2])
    assert jax.jit(jax.vmap(count_down))(lengths).tolist() == lengths.tolist()
    jax.effects_barrier()
    assert sum(lengths.tolist()) <= len(calls) <= 4 * 110


def test_batched_cond_takes_and_returns_keys():
    def draw(otherwise, scale):
        onward, now = jax.random.split(otherwise[0])
        return onward, scale * jax.random.normal(now)

    def one(needed, key):
        otherwise = (key, jnp.zeros(()))
        return batched_cond(needed, draw, otherwise, jnp.asarray(2.0))

    keys = jax.random.split(jax.random.key(0), 3)
    needed = jnp.asarray([True, False, True])
    onward, drawn = jax.jit(jax.vmap(one))(needed, keys)
    for k, key in enumerate(keys):
        expected, value = draw((key, 0.0), 2.0) if needed[k] else (key, 0.0)
        np.testing.assert_array_equal(
            jax.random.key_data(onward[k]), jax.random.key_data(expected)
        )
        np.testing.assert_allclose(drawn[k], value, rtol=1e-6)
