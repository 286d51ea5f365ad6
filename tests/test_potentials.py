"""Laws that every potential obeys: gradients, symmetries, safety, precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import needs_kernels
from potential_cases import CASES, case, scattered

import hopgym
from hopgym import potentials, structures
from hopgym.potentials import (
    AbstractPotential,
    Gupta,
    LennardJones,
    Morse,
    SoftSphere,
    StillingerWeber,
)

pytestmark = pytest.mark.optimised

DIVERGING = [name for name in CASES if "soft" not in name]


def test_every_potential_is_tested():
    exported = {
        value
        for value in vars(potentials).values()
        if isinstance(value, type) and issubclass(value, AbstractPotential)
    }
    tested = {type(make()) for make, *_ in CASES.values()}
    assert tested == exported - {AbstractPotential}


# --- the gradient is the gradient ---------------------------------------------------


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", [0, 1])
def test_gradient_and_atom_energies(x64, name, seed):
    evaluate, _, _, spacing = case(name)
    positions = jnp.asarray(scattered(7, spacing, seed))
    energy, gradient, atoms, by_jax = evaluate(positions)
    scale = float(jnp.abs(gradient).max())
    np.testing.assert_allclose(atoms.sum(), energy, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(gradient, by_jax, atol=1e-11 * scale)
    np.testing.assert_allclose(gradient.sum(0), 0, atol=1e-11 * scale)

    step = 1e-5 * spacing
    direction = np.random.default_rng(seed + 9).normal(size=positions.shape)
    ahead, behind = (evaluate(positions + s * step * direction)[0] for s in (1, -1))
    slope = float((gradient * direction).sum())
    np.testing.assert_allclose(
        (ahead - behind) / (2 * step), slope, rtol=1e-6, atol=1e-6 * scale
    )


@pytest.mark.parametrize("name", DIVERGING)
def test_gradient_within_the_core(x64, name):
    """The continued surface is one function, too: its gradient is exact there."""
    evaluate, _, _, spacing = case(name)
    positions = scattered(7, spacing)
    positions[1] = positions[0] + 0.04 * spacing * np.array([1, 2, -1]) / 6**0.5
    energy, gradient, atoms, by_jax = evaluate(jnp.asarray(positions))
    scale = float(jnp.abs(gradient).max())
    np.testing.assert_allclose(atoms.sum(), energy, rtol=1e-12)
    np.testing.assert_allclose(gradient, by_jax, atol=1e-10 * scale)


@pytest.mark.parametrize("name", CASES)
def test_jax_gradient_in_float32(name):
    evaluate, _, _, spacing = case(name)
    _, gradient, _, by_jax = evaluate(jnp.asarray(scattered(7, spacing), float))
    scale = float(jnp.abs(gradient).max())
    np.testing.assert_allclose(gradient, by_jax, atol=5e-6 * scale)


def test_gradient_by_parameters(x64):
    """Parameters are leaves: energies can be differentiated by them."""
    species = jnp.zeros(7, jnp.int32)
    positions = jnp.asarray(scattered(7, 1.1))

    @jax.jit
    def energy(potential):
        return potential.energy_and_gradient(positions, species, None)[0]

    slope = jax.jit(jax.grad(energy))(LennardJones()).d0
    ahead, behind = (energy(LennardJones(d0=1 + h)) for h in (1e-6, -1e-6))
    np.testing.assert_allclose(slope, (ahead - behind) / 2e-6, rtol=1e-6)


# --- symmetries ---------------------------------------------------------------------


def rotation(angles):
    """Product of rotations about the three axes."""
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        turn = np.eye(3)
        i, j = (axis + 1) % 3, (axis + 2) % 3
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


numbers = st.floats(-3, 3, allow_subnormal=False)
triples = st.tuples(numbers, numbers, numbers)


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=5, deadline=None, derandomize=True)
@given(seed=st.integers(0, 99), shift=triples, angles=triples, data=st.data())
def test_invariance(name, seed, shift, angles, data):
    """Translation, permutation of like atoms; rotation or shifts by the lattice."""
    with jax.enable_x64(True):
        evaluate, species, box, spacing = case(name)
        positions = scattered(7, spacing, seed)
        energy, gradient, atoms, _ = evaluate(jnp.asarray(positions))
        tolerance = 1e-9 * max(1.0, float(jnp.abs(gradient).max()))

        matrix = np.eye(3) if box is not None else rotation(angles)
        moved = positions @ matrix.T + np.array(shift)
        if box is not None:
            cells = data.draw(st.lists(st.integers(-2, 2), min_size=21, max_size=21))
            moved = moved + np.reshape(cells, (7, 3)) * np.asarray(box)
        first = np.flatnonzero(np.asarray(species) == 0)
        order = np.arange(7)
        order[first] = data.draw(st.permutations(list(first)))
        again, slope, parts, _ = evaluate(jnp.asarray(moved[order]))

        np.testing.assert_allclose(again, energy, rtol=1e-10, atol=tolerance)
        np.testing.assert_allclose(parts, atoms[order], rtol=1e-9, atol=tolerance)
        np.testing.assert_allclose(
            slope, np.asarray(gradient)[order] @ matrix.T, atol=tolerance
        )


# --- safety -------------------------------------------------------------------------


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_finite_whatever_comes(name, double):
    with jax.enable_x64(double):
        evaluate, _, _, spacing = case(name)
        normal = scattered(7, spacing)
        near, same, far, mixed = (normal.copy() for _ in range(4))
        near[1] = near[0] + 1e-6
        same[1] = same[0]
        far[1] = far[0] + 1e6
        mixed[:3] = [[1e37, 0, 0], [-1e37, 1e37, 0], [1e-30, 0, 0]]
        wild = [near, same, far, mixed, 0 * normal, 1e-6 * normal, 1e37 * normal]
        reference = float(evaluate(jnp.asarray(normal, float))[0])
        for positions in wild:
            results = evaluate(jnp.asarray(positions, float))
            assert all(bool(jnp.isfinite(part).all()) for part in results)
        for positions in (near, same, 0 * normal):
            energy = float(evaluate(jnp.asarray(positions, float))[0])
            assert energy > max(reference, 0 if name in DIVERGING else reference)
        assert float(evaluate(jnp.asarray(0 * normal, float))[0]) > float(
            evaluate(jnp.asarray(same, float))[0]
        )


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_energy_of_a_pair_rises_all_the_way_to_coincidence(name, double):
    with jax.enable_x64(double):
        make, species, box, spacing = CASES[name]
        potential = make()
        species = jnp.asarray(species[:2], jnp.int32)
        box = None if box is None else jnp.asarray(box, float)
        distances = np.concatenate([[0, 1e-6, 1e-4], np.linspace(1e-2, 0.7, 70)])
        pairs = np.zeros((len(distances), 2, 3))
        pairs[:, 1, 0] = distances * spacing
        energies, gradients = jax.jit(
            jax.vmap(lambda x: potential.energy_and_gradient(x, species, box))
        )(jnp.asarray(pairs, float))
        energies = np.asarray(energies)
        rises = energies[1:] - energies[:-1]
        # Nearer than about 1e-3 of the core the rise drowns in rounding.
        assert (rises <= 0).all()
        assert (rises[4:] < 0).all()
        # The atom at the greater x is pushed to greater x, except if they coincide.
        assert (np.asarray(gradients)[2:, 1, 0] < 0).all()


@pytest.mark.parametrize("name", CASES)
def test_second_derivatives_in_float32(name):
    make, species, box, spacing = CASES[name]
    potential, species = make(), jnp.asarray(species, jnp.int32)
    box = None if box is None else jnp.asarray(box, float)

    @jax.jit
    def both(positions):
        def energy(x):
            return potential.energy_and_gradient(x, species, box)[0]

        def gradient(x):
            return potential.energy_and_gradient(x, species, box)[1]

        return jax.hessian(energy)(positions), jax.jacfwd(gradient)(positions)

    positions = scattered(7, spacing)
    lone = positions.copy()
    lone[0] -= 40 * spacing
    for where in (positions, lone):
        hessian, slopes = both(jnp.asarray(where, float))
        scale = float(jnp.abs(slopes).max())
        np.testing.assert_allclose(hessian, slopes, atol=2e-5 * scale)


@pytest.mark.parametrize("length", [3.4e-10, 1e10])
@pytest.mark.parametrize("name", ["xla", pytest.param("native", marks=needs_kernels)])
def test_finite_in_any_unit_of_length(backend, name, length):
    backend(name)
    near = scattered(7, 1.1 * length)
    far = near.copy()
    far[0] = 1e37
    gold = [[0.2]], [[1.8]], [[10.0]], [[4.0]], [[length]]
    gold_1 = *gold[:4], [[1.0]]
    species = jnp.zeros(7, jnp.int32)

    @jax.jit
    def evaluate(potential, positions):
        return potential.energy_and_gradient(positions, species, None)

    for scaled, plain in (
        (LennardJones(d0=length), LennardJones()),
        (Morse(6.0, d0=length), Morse(6.0)),
        (Gupta(*gold), Gupta(*gold_1)),
    ):
        expected, _ = evaluate(plain, jnp.asarray(near / length, float))
        found, _ = evaluate(scaled, jnp.asarray(near, float))
        np.testing.assert_allclose(found, expected, rtol=1e-4)
        for part in evaluate(scaled, jnp.asarray(far, float)):
            assert bool(np.isfinite(part).all())


# --- precision, batches -------------------------------------------------------------


def precision_cases(spacing, atoms):
    rng = np.random.default_rng(3)
    normal = scattered(atoms, 1.1 * spacing, noise=0.1)
    lone = normal.copy()
    lone[atoms // 2 :] += 8 * spacing
    overlap = normal.copy()
    overlap[1] = overlap[0] + 0.2 * spacing * rng.normal(size=3)
    return {
        "random": normal,
        "compressed": 0.7 * normal,
        "dissociated": lone,
        "overlap": overlap,
    }


@pytest.mark.parametrize("name", ["LJ-38", "LJ-75", "Gupta-Au55", "Gupta-Ag19Au19"])
def test_float32_against_float64(name):
    """Gradient to 5e-6 of the largest component; in overlaps of the largest term."""
    results = {}
    for double in (False, True):
        with jax.enable_x64(double):
            system = hopgym.get_system(name)
            cases = precision_cases(float(system.length), system.atoms)
            batch = np.stack([np.float32(x) for x in cases.values()])
            evaluate = jax.jit(jax.vmap(lambda x, s=system: s.energy_and_gradient(x)))
            results[double] = [
                np.asarray(r) for r in evaluate(jnp.asarray(batch, float))
            ]
    for k, what in enumerate(cases):
        single, exact = results[False][1][k], results[True][1][k]
        # Sums about the common centre lose a digit where fragments are far from it.
        share = 1e-5 if what == "dissociated" else 5e-6
        np.testing.assert_allclose(
            single, exact, rtol=0, atol=share * np.abs(exact).max(), err_msg=what
        )
    np.testing.assert_allclose(results[False][0], results[True][0], rtol=1e-5)


def test_float32_energy_of_the_largest_bar():
    """LJ-75 at its minimum: hits are recognised to 1e-3, so energies must be better."""
    points = structures.decahedron()
    with jax.enable_x64(True):
        exact = float(
            hopgym.get_system("LJ-75").energy_and_gradient(jnp.asarray(points, float))[
                0
            ]
        )
    single = float(hopgym.get_system("LJ-75").energy_and_gradient(points)[0])
    assert abs(single - exact) < 2e-4


def test_float32_silicon():
    positions = structures.diamond(2, 5.428) + 0.15 * np.random.default_rng(0).normal(
        size=(64, 3)
    ).astype(np.float32)
    single = hopgym.get_system("SW-Si64").energy_and_gradient(positions)
    with jax.enable_x64(True):
        exact = hopgym.get_system("SW-Si64").energy_and_gradient(
            jnp.asarray(positions, float)
        )
        np.testing.assert_allclose(single[0], exact[0], rtol=2e-6)
        np.testing.assert_allclose(
            single[1], exact[1], rtol=0, atol=5e-6 * float(jnp.abs(exact[1]).max())
        )


def test_batched_compositions_equal_one_by_one():
    """Species and parameters are data: one program for all compositions."""
    names = ["Gupta-Ag6Au7", "Gupta-Ag5Au8"]
    systems = [hopgym.get_system(name) for name in names]
    positions = jnp.asarray(scattered(13, 2.9), float)
    energies, gradients = jax.jit(
        jax.vmap(lambda s, x: s.energy_and_gradient(x), in_axes=(0, None))
    )(hopgym.stack(systems), positions)
    for k, system in enumerate(systems):
        energy, gradient = system.energy_and_gradient(positions)
        np.testing.assert_allclose(energies[k], energy, rtol=1e-6)
        np.testing.assert_allclose(
            gradients[k], gradient, atol=2e-6 * float(jnp.abs(gradient).max())
        )
    assert not np.allclose(energies[0], energies[1])


def test_nested_batches_and_scans():
    system = hopgym.get_system("LJ-5")
    batch = jnp.stack(
        [jnp.asarray(scattered(5, 1.1, seed), float) for seed in range(6)]
    )
    single = jnp.stack([system.energy_and_gradient(x)[0] for x in batch])
    nested = jax.vmap(jax.vmap(lambda x: system.energy_and_gradient(x)[0]))(
        batch.reshape(2, 3, 5, 3)
    )
    _, scanned = jax.lax.scan(
        lambda carry, x: (carry, system.energy_and_gradient(x)[0]), None, batch
    )
    np.testing.assert_allclose(nested.ravel(), single, rtol=1e-6)
    np.testing.assert_allclose(scanned, single, rtol=1e-6)


def test_boxes_that_do_not_fit_are_refused():
    box = jnp.full(3, 5.0)
    for potential in (
        LennardJones(),
        Morse(6.0),
        Gupta([[1]], [[1]], [[1]], [[1]], [[1]]),
    ):
        with pytest.raises(ValueError, match="free space"):
            potential.check_box(box)
    with pytest.raises(ValueError, match="images=1"):
        StillingerWeber().check_box(box)
    with pytest.raises(ValueError, match="needs a box"):
        StillingerWeber().check_box(None)
    with pytest.raises(ValueError, match="diameter"):
        SoftSphere(sigma=3.0).check_box(box)
    StillingerWeber(images=1).check_box(box)
