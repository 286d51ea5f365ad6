"""Kernels in C++ against the formulas in JAX, and the switch between them."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hopgym import Environment, get_system, native
from hopgym.environment import follow
from hopgym.optimizers import Learn2Hop

library = native._library()[0]
needs_kernels = pytest.mark.skipif(
    library is None and os.environ.get("HOPGYM_KERNELS") != "1",
    reason="hopgym was installed without kernels",
)


@pytest.fixture(params=[False, True], ids=["float32", "float64"])
def x64(request):
    with jax.enable_x64(request.param):
        yield request.param


@pytest.fixture
def backend():
    """Chooses a backend; what was chosen before is chosen again at the end."""
    before = native._chosen
    yield native.use_backend
    native.use_backend(before)


def by_both(backend, compute):
    """What a function computes by kernels and by formulas."""
    found = []
    for name in ("native", "xla"):
        backend(name)
        found.append(jax.tree.map(np.asarray, compute()))
    return found


def starts(system, count, key=0):
    keys = jax.random.split(jax.random.key(key), count)
    return jax.jit(jax.vmap(system.sample))(keys)


# Potentials

# Stiffness of a bond, by which the rounding of a distance changes a force, in units of
# energy and length.
STIFFNESS = {"LJ": 72, "Morse14": 2 * 14**2, "Gupta": 72, "SW": 300}


@needs_kernels
@pytest.mark.parametrize(
    "name",
    [
        *("LJ-2", "LJ-13", "LJ-38", "Morse14-6"),
        *("Gupta-Au2", "Gupta-Au13", "Gupta-Ag3Au4", "SW-Si64"),
    ],
)
def test_potentials(backend, x64, name):
    system = get_system(name)
    near = starts(system, 3)
    overlap = near.at[:, 1].set(near[:, 0] + 5e-3 * system.length)
    # In a box nothing dissociates.
    far = near + 100 if system.box is not None else 20 * near
    where = jnp.concatenate([near, 0.3 * near, far, overlap, near + 100])

    def compute():
        return jax.jit(jax.vmap(system.energy_and_gradient))(where)

    (energy, gradient), (by_formulas, slope) = by_both(backend, compute)
    with jax.enable_x64(True):
        precise = jax.jit(jax.vmap(get_system(name).energy_and_gradient))
        expected = precise(np.asarray(where, np.float64))
        e, g = map(np.asarray, expected)
    tolerance = 1e-12 if x64 else 5e-6
    unit = float(system.energy_unit) / float(system.length)
    floor = STIFFNESS[name.partition("-")[0]] / 16 * unit
    largest = np.abs(g).max(axis=(1, 2), keepdims=True)
    # Positions that are rounded, in boxes and near overlaps, cost the formulas as much.
    for found, formula, exact, scale in (
        (energy, by_formulas, e, 1 + np.abs(e)),
        (gradient, slope, g, largest + floor),
    ):
        rounding = np.abs(formula - exact).max(axis=tuple(range(1, exact.ndim)))
        allowed = tolerance * scale + 2 * rounding.reshape(-1, *[1] * (exact.ndim - 1))
        assert np.all(np.abs(found - exact) <= allowed)


@needs_kernels
def test_coincident_atoms_are_high_and_finite(backend):
    backend("native")
    for name in ("LJ-4", "Gupta-Ag2Au2", "SW-Si64"):
        system = get_system(name)
        same = jnp.zeros((system.atoms, 3))
        energy, gradient = system.energy_and_gradient(same)
        assert np.isfinite(energy) and energy > 0 and np.all(gradient == 0)


@needs_kernels
def test_silicon_without_bonds(backend, x64):
    backend("native")
    system = get_system("SW-Si64")
    potential = system.potential
    two = 0.25 * system.box * jnp.array([[0.0], [2.0]])
    species = jnp.zeros(2, int)
    energy, gradient = potential.energy_and_gradient(two, species, system.box)
    assert energy == 0 and np.all(gradient == 0)


@needs_kernels
@pytest.mark.parametrize("name", ["LJ-13", "Gupta-Ag2Au3", "SW-Si64"])
@pytest.mark.parametrize("count", [1, 7, 67])
def test_replicas_do_not_depend_on_each_other(backend, x64, name, count):
    backend("native")
    system = get_system(name)
    where = starts(system, 67)
    of_all = jax.jit(jax.vmap(system.energy_and_gradient))
    everything = of_all(where)
    spoiled = where[:count].at[: count - 1 : 2].set(jnp.nan)
    spoiled = spoiled.at[1 : count - 1 : 4, 1].set(spoiled[1 : count - 1 : 4, 0])
    some = of_all(spoiled)
    last = count - 1
    for whole, part in zip(everything, some, strict=True):
        np.testing.assert_array_equal(whole[last], part[last])
    alone = system.energy_and_gradient(where[last])
    for whole, single in zip(everything, alone, strict=True):
        np.testing.assert_array_equal(whole[last], single)


@pytest.fixture(params=["baseline", "avx2", "avx512"])
def instruction_set(request):
    """Each of those that the processor has, for one test."""
    best = native.instruction_set()
    library.hopgym_isa(request.param.encode())
    chosen = native.instruction_set()
    if chosen == request.param:
        yield chosen
    library.hopgym_isa(best.encode())
    if chosen != request.param:
        pytest.skip(f"the processor has no {request.param}")


@needs_kernels
@pytest.mark.parametrize("name", ["LJ-19", "Morse6-7", "Gupta-Ag9Au10", "SW-Si64"])
def test_atoms_in_lanes_and_replicas_in_lanes(backend, x64, instruction_set, name):
    backend("native")
    system = get_system(name)
    where = starts(system, 33)
    where = where.at[32, 1].set(where[32, 0] + 1e-2 * system.length)
    compute = jax.jit(jax.vmap(system.energy_and_gradient))
    of_all = compute(where)
    for k in (0, 32):
        for whole, single in zip(of_all, compute(where[k : k + 1]), strict=True):
            np.testing.assert_array_equal(whole[k], single[0])


@needs_kernels
def test_parameters_may_differ_between_replicas(backend):
    system = get_system("LJ-5")
    where = starts(system, 9)
    depths = jnp.linspace(0.5, 2.0, 9)

    def one(positions, epsilon):
        potential = system.potential
        deeper = jax.tree.map(
            lambda x: epsilon if x is potential.epsilon else x, potential
        )
        return deeper.energy_and_gradient(positions, system.species, None)

    every = jax.jit(lambda: jax.vmap(one)(where, depths))
    mine, formulas = by_both(backend, every)
    for a, b in zip(mine, formulas, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-5)


@needs_kernels
def test_metals_may_differ_between_replicas(backend):
    system = get_system("Gupta-Ag4Au3")
    where = starts(system, 1)[0]
    species = jnp.array([[0] * 7, [1] * 7, [0, 1, 0, 1, 0, 1, 0], [1, 0] * 3 + [1]])

    def compute():
        one = system.potential.energy_and_gradient
        return jax.jit(jax.vmap(lambda kinds: one(where, kinds, None)))(species)

    mine, formulas = by_both(backend, compute)
    assert len(set(mine[0].tolist())) == 4
    for a, b in zip(mine, formulas, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-5)


@needs_kernels
@pytest.mark.parametrize("name", ["LJ-4", "Gupta-Ag2Au2", "SW-Si64"])
def test_derivatives(backend, name):
    with jax.enable_x64(True):
        system = get_system(name)
        where = starts(system, 1)[0]
        along = jnp.cos(jnp.arange(where.size)).reshape(where.shape)

        def energy(positions):
            return system.energy_and_gradient(positions)[0]

        def compute():
            slope = jax.grad(energy)
            return jax.jit(lambda x: jax.jvp(slope, (x,), (along,)))(where)

        mine, formulas = by_both(backend, compute)
        _, gradient = system.energy_and_gradient(where)
        np.testing.assert_allclose(mine[0], gradient, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(mine[1], formulas[1], rtol=1e-9, atol=1e-9)


# The learned step


def trained(**options):
    """A network whose outputs are not zero."""
    key = jax.random.key(0)
    model = Learn2Hop(key, **options)
    shape = model.network.output.shape
    output = 0.05 * jax.random.normal(jax.random.key(1), shape)
    return jax.tree.map(lambda x: output if x is model.network.output else x, model)


def walked(system, model, where, steps=20):
    """Positions and memory after some steps from each start."""
    environment = Environment(system)
    key = jax.random.key(0)

    def begin(positions):
        memory = model.init(positions, key=key, context=environment.context)
        return environment.reset(key, positions), memory

    def step(_, carry):
        return jax.vmap(lambda c: follow(environment, model, *c))(carry)

    @jax.jit
    def run(where):
        return jax.lax.fori_loop(0, steps, step, jax.vmap(begin)(where))

    state, memory = run(where)
    return state.positions, memory


@needs_kernels
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("LJ-13", {"kinds": 1}),
        ("LJ-13", {"depth": 3, "hidden": 30}),
        ("Gupta-Ag2Au36", {}),
        ("SW-Si8", {}),
        ("LJ-4", {"features": ("gradients", "decays", "step"), "hidden": 5}),
        ("LJ-4", {"features": ("adam", "radial", "singular")}),
        ("LJ-4", {"features": ("positions",)}),
    ],
)
def test_learned_trajectories(backend, x64, name, options):
    system = get_system(name)
    model = trained(**options)
    where = starts(system, 3)
    (last, memory), (expected, others) = by_both(
        backend, lambda: walked(system, model, where)
    )
    assert np.abs(expected - where).max() > 1e-3 * float(system.length)
    limit = (1e-10 if x64 else 1e-5) * float(system.length)
    assert np.abs(last - expected).max() < limit
    np.testing.assert_array_equal(memory.step, others.step)
    for mine, other in ((memory.first, others.first), (memory.second, others.second)):
        np.testing.assert_allclose(
            mine, other, atol=(1e-9 if x64 else 1e-4) * np.abs(other).max()
        )


@needs_kernels
def test_small_gradients_and_averages_are_inputs_as_by_the_formulas(backend, x64):
    system = get_system("LJ-4")
    context = Environment(system).context
    model = trained()
    where = starts(system, 1)[0]
    memory = model.init(where, key=jax.random.key(0), context=context)
    sizes = jnp.array([0.0, 1e-30, 1e-9, 1e-5, 1e-4, 1e-2, 1.0, 1e6])

    def compute():
        def one(size):
            gradient = size * jnp.sin(jnp.arange(12.0)).reshape(4, 3)
            value = jnp.zeros(())
            return model.update(gradient, memory, where, value=value, context=context)

        return jax.jit(jax.vmap(one))(sizes)[0]

    mine, formulas = by_both(backend, compute)
    np.testing.assert_allclose(mine, formulas, atol=1e-13 if x64 else 1e-7)


@needs_kernels
def test_steps_do_not_depend_on_batch_threads_or_who_shares_weights(backend):
    backend("native")
    system = get_system("LJ-13")
    model = trained(kinds=1)
    where = starts(system, 67)
    together, _ = walked(system, model, where, 5)
    alone, _ = walked(system, model, where[66:], 5)
    np.testing.assert_array_equal(together[66:], alone)
    with native.threads(1):
        single, _ = walked(system, model, where, 5)
    np.testing.assert_array_equal(together, single)

    context = Environment(system).context
    memory = model.init(where[0], key=jax.random.key(0), context=context)

    def moved(model, positions):
        _, gradient = system.energy_and_gradient(positions)
        value = jnp.zeros(())
        return model.update(gradient, memory, positions, value=value, context=context)

    own = jax.tree.map(lambda x: jnp.stack([x, 2 * x]), model)
    of_starts = jax.vmap(moved, (None, 0))
    table = jax.jit(jax.vmap(of_starts, (0, None)))(own, where[:3])[0]
    for k, weights in enumerate((model, jax.tree.map(lambda x: 2 * x, model))):
        expected = jax.jit(of_starts)(weights, where[:3])[0]
        np.testing.assert_array_equal(table[k], expected)


@needs_kernels
def test_instruction_sets_agree(backend):
    backend("native")
    system = get_system("LJ-13")
    model = trained()
    where = starts(system, 5)
    best = native.instruction_set()
    expected, _ = walked(system, model, where)
    for name in (b"baseline", b"avx2"):
        library.hopgym_isa(name)
        found, _ = walked(system, model, where)
        assert np.abs(found - expected).max() < 1e-5
    library.hopgym_isa(best.encode())
    assert native.instruction_set() == best


@needs_kernels
def test_derivatives_of_steps(backend):
    with jax.enable_x64(True):
        system = get_system("LJ-4")
        context = Environment(system).context
        model = trained()
        where = starts(system, 1)[0]
        memory = model.init(where, key=jax.random.key(0), context=context)

        def size(beta):
            steeper = jax.tree.map(lambda x: beta if x is model.beta else x, model)
            moved, _ = steeper.update(
                jnp.ones((4, 3)), memory, where, value=jnp.zeros(()), context=context
            )
            return jnp.sum(moved**2)

        def slope():
            return jax.jit(jax.grad(size))(jnp.asarray(1.5))

        mine, formulas = by_both(backend, slope)
        np.testing.assert_allclose(mine, formulas, rtol=1e-9)
        assert abs(formulas) > 1e-12


# The library and the switch


@needs_kernels
def test_operands_that_do_not_fit(backend):
    backend("native")
    energy = jax.ShapeDtypeStruct((), jnp.float32)
    gradient = jax.ShapeDtypeStruct((4, 3), jnp.float32)
    one = jnp.ones(())

    def call(positions, *parameters):
        return native.call(
            "lennard_jones",
            (energy, gradient),
            positions,
            *parameters,
            position_limit=np.float64(1e15),
        )

    for arguments, message in (
        ((jnp.zeros((5, 3)), one, one, one), "operand positions has another shape"),
        ((jnp.zeros((4, 3), int), one, one, one), "positions has another dtype"),
        ((jnp.zeros((4, 3)), one, one), "parameter of the potential is missing"),
        ((jnp.zeros((4, 3)), one, one, jnp.ones(2)), "parameter of the potential has"),
    ):
        with pytest.raises(jax.errors.JaxRuntimeError, match=message):
            jax.block_until_ready(call(*arguments))


def test_the_switch(backend, monkeypatch):
    with pytest.raises(ValueError, match="a backend is one of"):
        native.use_backend("cuda")
    with pytest.raises(ValueError, match="at least one thread"), native.threads(0):
        pass
    backend("xla")
    assert native.backend() == "xla"
    with native.using("auto"):
        assert native._chosen == "auto"
    assert native._chosen == "xla"
    monkeypatch.setattr(native, "_chosen", "fast")
    with pytest.raises(ValueError, match="HOPGYM_BACKEND must be one of"):
        native.backend()


def test_a_library_that_does_not_fit_is_not_loaded(monkeypatch, tmp_path):
    load = native._library.__wrapped__
    monkeypatch.setattr(native, "_path", lambda: None)
    with pytest.warns(RuntimeWarning, match="installed without them"):
        assert load()[0] is None
    (tmp_path / "broken.so").write_text("no library")
    monkeypatch.setattr(native, "_path", lambda: tmp_path / "broken.so")
    with pytest.warns(RuntimeWarning, match="cannot be loaded"):
        assert load()[0] is None
    monkeypatch.setattr(native, "_library", lambda: (None, "no compiler"))
    monkeypatch.setattr(native, "_chosen", "auto")
    assert native.backend() == "xla"
    with pytest.raises(RuntimeError, match="cannot be used: no compiler"):
        native.use_backend("native")


@needs_kernels
def test_a_library_for_another_interface_is_not_loaded(monkeypatch):
    load = native._library.__wrapped__
    for running in ((0, 0), (9, 9), None):
        monkeypatch.setattr(native, "_running_version", lambda found=running: found)
        with pytest.warns(RuntimeWarning, match="built for XLA's interface"):
            assert load()[0] is None
