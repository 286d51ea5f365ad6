"""Calls of kernels: everything by name, and errors for what does not fit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernel_cases import needs_kernels

from hopgym import native
from hopgym.context import Context
from hopgym.optimizers import Learn2Hop
from hopgym.optimizers.learned.radial import fit_polynomials

pytestmark = pytest.mark.sanitize

FOUR = jax.ShapeDtypeStruct((4, 3), jnp.float32)
ENERGY = jax.ShapeDtypeStruct((), jnp.float32)


def lennard_jones(results=None, change=None, position_limit=None, **attributes):
    """A call of a kernel for four atoms, with some operands or names changed."""
    one = jnp.ones(())
    operands = {"positions": jnp.eye(4, 3), "epsilon": one, "d0": 2 * one, "core": one}
    operands |= change or {}
    return native.call(
        "lennard_jones",
        results or {"energy": ENERGY, "gradient": FOUR},
        {name: x for name, x in operands.items() if x is not None},
        {"position_limit": position_limit or 1e15, **attributes},
    )


@needs_kernels
def test_order_does_not_matter(backend):
    backend("native")
    expected = lennard_jones()
    one = jnp.ones(())
    operands = {"core": one, "d0": 2 * one, "positions": jnp.eye(4, 3), "epsilon": one}
    results = {"gradient": FOUR, "energy": ENERGY}
    found = native.call("lennard_jones", results, operands, {"position_limit": 1e15})
    assert found.keys() == expected.keys()
    for name in found:
        np.testing.assert_array_equal(found[name], expected[name])


@needs_kernels
@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            {"change": {"positions": jnp.eye(5, 3)}},
            "operand positions has another shape",
        ),
        ({"change": {"d0": jnp.ones(2)}}, "operand d0 has another shape"),
        (
            {"change": {"positions": jnp.ones((4, 3), int)}},
            "operand positions has another dtype",
        ),
        ({"change": {"core": None}}, "operand core is missing"),
        ({"change": {"rho": jnp.ones(())}}, "operand rho is unknown"),
        (
            {"change": {"epsilon": None, "epsilom": jnp.ones(())}},
            "operand epsilon is missing",
        ),
        ({"results": {"energy": ENERGY}}, "result gradient is missing"),
        ({"results": {"gradient": FOUR}}, "result energy is missing"),
        (
            {"results": {"energy": FOUR, "gradient": FOUR}},
            "result energy has another shape",
        ),
        (
            {"results": {"energy": ENERGY, "gradient": FOUR, "forces": FOUR}},
            "result forces is unknown",
        ),
        ({"position_limit": 10}, "attribute position_limit has another type"),
        ({"kinds": 1}, "attributes are not those that it knows: kinds operands"),
    ],
)
def test_calls_that_do_not_fit(backend, arguments, message):
    backend("native")
    message = f"hopgym: lennard_jones: {message}"
    with pytest.raises(jax.errors.JaxRuntimeError, match=message):
        jax.block_until_ready(lennard_jones(**arguments))


def gupta(**attributes):
    one, table = jnp.ones(()), jnp.ones((1, 1))
    exponents = dict.fromkeys(("log_a", "p", "log_xi", "q"), table)
    return native.call(
        "gupta",
        {"energy": ENERGY, "gradient": FOUR},
        {"positions": jnp.eye(4, 3), "species": jnp.zeros(4, int)}
        | {"core": one, "length": one}
        | exponents,
        {"position_limit": 1e15, "smallest_density": 1e-20} | attributes,
    )


def radial_functions(**attributes):
    cutoff, gaussians = fit_polynomials(jnp.dtype(jnp.float32))
    constants = {"cutoff": cutoff, "gaussians": gaussians.ravel(), "kinds": 1}
    return native.call(
        "radial_functions",
        {"functions": jax.ShapeDtypeStruct((4, 8), jnp.float32)},
        {"positions": jnp.eye(4, 3), "species": jnp.zeros(4, int), "box": jnp.ones(3)},
        constants | {"periodic": False, "cutoff_radius": 2.5} | attributes,
    )


def lbfgs(in_place):
    shapes = {"pairs": (4, 12), "sy": (2, 2), "yy": (2, 2), "inverse": (2,)}
    shapes |= dict.fromkeys(("last_positions", "last_gradient", "trial"), (4, 3))
    state = {name: jnp.zeros(shape) for name, shape in shapes.items()}
    state |= {"last_energy": jnp.zeros(())}
    state |= dict.fromkeys(("shortened", "flat"), jnp.zeros((), jnp.int32))
    operands = {"gradient": jnp.eye(4, 3), "positions": jnp.eye(4, 3)}
    operands |= {"value": jnp.zeros(()), "limits": jnp.ones(4)}
    operands |= {"patience": jnp.ones((), jnp.int32), "fresh": jnp.asarray(True)}
    return native.call(
        "lbfgs",
        {"displacement": FOUR, "finished": jax.ShapeDtypeStruct((), jnp.bool)}
        | {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in state.items()},
        operands | state,
        {"memory": 2},
        tuple(state) if in_place is None else in_place,
    )


def learned_step(constants=None, missing=None):
    """A step of a network by the kernel, with some constants or operands changed."""
    model = Learn2Hop(jax.random.key(0), hidden=4)
    one = jnp.ones(())
    context = Context(jnp.zeros(4, int), None, one, one)
    state = model.init(jnp.eye(4, 3), key=jax.random.key(0), context=context)
    call = native.call

    def changed(target, results, operands, attributes):
        operands = {name: x for name, x in operands.items() if name != missing}
        return call(target, results, operands, attributes | (constants or {}))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "call", changed)
        return model.update(
            jnp.ones((4, 3)), state, jnp.eye(4, 3), value=one, context=context
        )


@needs_kernels
@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: gupta(kinds=2), "gupta: operand log_a has another shape"),
        (lambda: gupta(kinds=3), "gupta: attribute kinds must be 1 or 2"),
        (lambda: gupta(), "gupta: attribute kinds is missing"),
        (
            lambda: radial_functions(cutoff=np.ones(3)),
            "radial_functions: attribute cutoff has another degree",
        ),
        (
            lambda: radial_functions(kinds=2),
            "radial_functions: result functions has another shape",
        ),
        (
            lambda: lbfgs(("pairs", "sy", "yy", "inverse")),
            "lbfgs: operand trial must be changed in place",
        ),
        (
            lambda: learned_step(missing="step_weights"),
            "learned_step: operand step_weights is missing",
        ),
        (
            lambda: learned_step({"hidden": 5}),
            "learned_step: operand component_weights has another shape",
        ),
        (
            lambda: learned_step({"features": "gradients,radii"}),
            "learned_step: feature radii is unknown",
        ),
        (
            lambda: learned_step({"features": "gradients,step"}),
            "learned_step: operand component_weights has another shape",
        ),
        (
            lambda: learned_step({"log2": np.ones(3)}),
            "learned_step: attribute log2 has another degree",
        ),
        (
            lambda: learned_step({"periods": np.ones(17)}),
            "learned_step: attribute periods has more than 16",
        ),
    ],
)
def test_other_kernels_say_what_does_not_fit(backend, call, message):
    backend("native")
    with pytest.raises(jax.errors.JaxRuntimeError, match=f"hopgym: {message}"):
        jax.block_until_ready(call())


@needs_kernels
def test_calls_that_fit(backend):
    backend("native")
    jax.block_until_ready(
        [
            gupta(kinds=1),
            radial_functions(),
            lbfgs(None),
            learned_step(),
        ]
    )
