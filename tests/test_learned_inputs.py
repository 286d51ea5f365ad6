"""Inputs of learned optimizers: scaling, and symmetry functions against jax-md."""

import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import needs_kernels
from optimizer_runs import environment, start

from hopgym.optimizers.learned.input_scaling import fast_log, log_magnitude, soft_sign
from hopgym.optimizers.learned.radial import CUTOFF, ETAS, radial_functions

pytestmark = pytest.mark.optimised


@settings(max_examples=50, deadline=None)
@given(st.floats(-30, 30), st.sampled_from([-1, 1]))
def test_scaling_is_the_papers(exponent, side):
    x = float(np.float32(side * 10**exponent))
    size, sign = np.log(abs(x)) / 10, np.sign(x)
    if abs(x) <= np.exp(-10):
        size, sign = -1, x * np.exp(10)
    value = jnp.asarray(x, jnp.float32)
    assert float(log_magnitude(value)) == pytest.approx(size, abs=1e-6)
    assert float(soft_sign(value)) == pytest.approx(sign, rel=1e-5)


def test_logarithm_is_exact_and_has_the_derivative():
    x = jnp.asarray(np.geomspace(1e-30, 1e30, 4001), jnp.float32)
    expected = np.log(np.asarray(x, np.float64))
    np.testing.assert_allclose(fast_log(x), expected, rtol=2e-7, atol=3e-7)
    slopes = jax.vmap(jax.grad(fast_log))(x)
    np.testing.assert_allclose(slopes, 1 / np.asarray(x, np.float64), rtol=1e-6)


by_either = pytest.mark.parametrize(
    "by", [pytest.param("native", marks=needs_kernels), "xla"]
)


@by_either
@pytest.mark.parametrize("name", ["LJ-13", "Gupta-Ag4Au3", "SW-Si64"])
def test_radial_functions_are_those_of_jax_md(backend, by, name):
    backend(by)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Explicitly requested dtype")
        from jax_md import space
        from jax_md._nn import behler_parrinello

        with jax.enable_x64(True):
            env = environment(name, True)
            context = env.context
            here = start(name, True) / context.length
            ours = eqx.filter_jit(radial_functions)(here, context, unlike=True)
            if context.box is None:
                displacement, _ = space.free()
            else:
                box = env.system.box
                assert box is not None
                displacement, _ = space.periodic(box / context.length)
            theirs = jax.jit(
                behler_parrinello.radial_symmetry_functions(
                    displacement, context.species, jnp.asarray(ETAS), CUTOFF
                )
            )(here)
    assert ours.dtype == jnp.float64
    kinds = len(set(np.asarray(context.species).tolist()))
    table = np.asarray(theirs).reshape(len(here), kinds, len(ETAS))
    np.testing.assert_allclose(ours[:, : len(ETAS)], table.sum(1), rtol=1e-12)
    unlike = np.zeros_like(table[:, 0])
    if kinds == 2:
        own = np.asarray(context.species)
        unlike = table[np.arange(len(here)), 1 - own]
    np.testing.assert_allclose(ours[:, len(ETAS) :], unlike, rtol=1e-12)


@by_either
def test_radial_functions_in_single_precision_and_of_far_atoms(backend, by):
    backend(by)
    context = environment("LJ-13").context
    here = start("LJ-13").at[0].set(jnp.array([50.0, 0, 0]))
    ours = eqx.filter_jit(radial_functions)(here, context, unlike=False)
    assert np.all(ours[0] == 0)
    d = np.linalg.norm(np.asarray(here, float)[:, None] - np.asarray(here), axis=-1)
    gamma = np.where((d < CUTOFF) & (d > 0), 0.5 * (1 + np.cos(np.pi * d / CUTOFF)), 0)
    for eta, column in zip(ETAS, ours.T, strict=True):
        expected = (np.exp(-eta * d**2) * gamma).sum(axis=1)
        np.testing.assert_allclose(column, expected, rtol=2e-6, atol=2e-6)
