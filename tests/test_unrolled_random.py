"""Random numbers without loops are those of JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hopgym._unrolled_random import unroll

pytestmark = pytest.mark.optimised

DRAWS = {
    "split": lambda key: jax.random.key_data(jax.random.split(key, 3)),
    "fold_in": lambda key: jax.random.key_data(jax.random.fold_in(key, 7)),
    "one": lambda key: jax.random.bits(key, ()),
    "many": lambda key: jax.random.bits(key, (13, 3)),
    "short": lambda key: jax.random.bits(key, (5,), "uint16"),
    "integer": lambda key: jax.random.randint(key, (4,), -3, 9),
    "normal": lambda key: jax.random.normal(key, (2, 3)),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_numbers_are_those_of_jax(draw, double):
    keys = jax.random.split(jax.random.key(3), 2)
    found = jax.vmap(lambda key: draw(unroll(key)))(keys)
    np.testing.assert_array_equal(found, jax.vmap(draw)(keys))


def test_long_integers(double):
    key = jax.random.key(0)
    dtype = jnp.uint64 if double else jnp.uint32
    found = jax.random.bits(unroll(key), (3,), dtype)
    np.testing.assert_array_equal(found, jax.random.bits(key, (3,), dtype))
    assert found.dtype == dtype


def test_no_loop_is_left():
    key = jax.random.key(0)

    def count_loops(key):
        draw = jax.jit(lambda key: jax.random.uniform(key, (5,)))
        return str(draw.lower(key).compile().as_text()).count(" while(")

    assert count_loops(key) > 0
    assert count_loops(unroll(key)) == 0


def test_other_generators_settings_and_devices_keep_theirs(monkeypatch):
    other = jax.random.key(0, impl="rbg")
    assert unroll(other) is other
    key = jax.random.key(0)
    with jax.threefry_partitionable(False):
        assert unroll(key) is key
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert unroll(key) is key
