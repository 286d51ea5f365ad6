"""Is this JAX one that multiplies wrongly? (https://github.com/jax-ml/jax/issues/39103)

jax 0.10.2 returns wrong numbers on CPUs, silently, for a compiled batch of
matrix-vector products whose results are reduced. It is excluded in pyproject.toml;
this says so where it was installed all the same.
"""

import jax
import jax.numpy as jnp
import pytest

pytestmark = pytest.mark.optimised

# Rows (i, 0, 0) turned by the identity: the largest squared length is 16384^2 or
# 32768^2, exact in either precision.
CASES = [("float64", 16385), ("float32", 32769)]


@pytest.mark.parametrize(("dtype", "rows"), CASES)
def test_reduced_batch_of_matrix_vector_products(dtype, rows):
    with jax.enable_x64(dtype == "float64"):
        points = jnp.zeros((rows, 3), dtype).at[:, 0].set(jnp.arange(rows, dtype=dtype))

        @jax.jit
        @jax.vmap
        def squared_length(point):
            return jnp.sum((jnp.eye(3, dtype=dtype) @ point) ** 2)

        largest = float(squared_length(points)[-1])
        assert largest == float(rows - 1) ** 2, (
            f"jax {jax.__version__} computes wrong numbers on this machine; install "
            "another release (pyproject.toml names the bad ones)"
        )
