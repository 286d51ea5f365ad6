"""Slabs and constraints: what is fixed stays, and moves respect it."""

import ase
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase.build import add_adsorbate, fcc111
from ase.calculators.calculator import CalculationFailed
from ase.calculators.emt import EMT
from ase.cluster import Icosahedron
from ase.constraints import (
    FixAtoms,
    FixBondLengths,
    FixCartesian,
    FixCom,
    FixedLine,
    FixedPlane,
    Hookean,
)

from hopgym import Context
from hopgym.chemistry import ZooOptimizer, from_ase
from hopgym.chemistry.ase_context import describe_atoms
from hopgym.chemistry.constraints import count_directions
from hopgym.optimizers import (
    AbstractOptimizer,
    Exchange,
    GaussianShake,
    Redraw,
    Shake,
    SurfaceMove,
    TwoPhase,
)
from hopgym.optimizers.basin_hopping import cluster_moves, make_hop_quench

ONE = jnp.ones(())


def make_slab():
    atoms = fcc111("Cu", (2, 2, 3), vacuum=10)
    add_adsorbate(atoms, "Au", 2.5, "ontop")
    atoms.set_constraint(FixAtoms(mask=atoms.get_tags() >= 2))
    atoms.calc = EMT()
    return atoms


def make_alloy(*constraints):
    atoms = Icosahedron("Cu", 2)
    atoms.symbols[:6] = "Au"
    atoms.rattle(0.1, seed=0)
    atoms.set_constraint(list(constraints))
    atoms.calc = EMT()
    return atoms


def search(atoms, name: str | AbstractOptimizer = "bh-lbfgs", steps=60, **options):
    optimizer = ZooOptimizer(atoms, name, logfile=None, steps=steps, **options)
    return optimizer, optimizer.run()


@pytest.mark.parametrize("name", ["lbfgs", "bh-lbfgs", "learn2hop-lj13-esmc"])
def test_an_adatom_on_a_slab_with_fixed_layers(name):
    atoms = make_slab()
    fixed = atoms.get_tags() >= 2
    before = atoms.get_positions()
    start = atoms.get_potential_energy()
    found, converged = search(atoms, name)
    np.testing.assert_array_equal(atoms.positions[fixed], before[fixed])
    np.testing.assert_array_equal(found.best_atoms.positions[fixed], before[fixed])
    assert found.best_energy < start - 0.1
    assert found.failures == 0
    if name == "lbfgs":
        assert converged
        assert np.linalg.norm(atoms.get_forces(), axis=1).max() < 0.05


@pytest.mark.parametrize(
    ("vectors", "periodic"),
    [
        (np.eye(3) * 4 + 0.5, True),
        ([[0, 0, 5.0], [0, 0, 0], [0, 0, 0]], (True, False, False)),
    ],
)
def test_crystals_and_wires(vectors, periodic):
    atoms = ase.Atoms("Cu2", [[0, 0, 0], [0.4, 0.3, 2.2]], cell=vectors, pbc=periodic)
    atoms.calc = EMT()
    start = atoms.get_potential_energy()
    _, converged = search(atoms, "lbfgs", 100)
    assert converged
    atoms.rattle(0.1, seed=0)
    found, _ = search(atoms, "random-restart")
    assert found.best_energy < start


def make_context(freedom, species=(0, 0, 1, 1, 1, 0, 1)):
    return Context(
        species=jnp.asarray(species, jnp.int32),
        box=None,
        length=ONE,
        energy_unit=ONE,
        freedom=jnp.asarray(freedom, jnp.int32),
    )


@pytest.mark.parametrize(
    "move", [Shake(), GaussianShake(), Redraw(), SurfaceMove(), Exchange()]
)
def test_moves_leave_fixed_atoms_where_they_are(move):
    freedom = np.array([0, 3, 0, 3, 3, 0, 2])
    context = make_context(freedom)
    positions = jnp.asarray(np.random.default_rng(0).normal(2, 1, (7, 3)), jnp.float32)
    keys = jax.random.split(jax.random.key(0), 40)
    moved = jax.vmap(lambda key: move.propose(key, positions, ONE, context))(keys)
    changed = np.any(np.asarray(moved) != np.asarray(positions), axis=2)
    assert not changed[:, freedom == 0].any()
    assert changed.any(axis=1).all()  # no hop is wasted
    if isinstance(move, SurfaceMove | Exchange):
        assert not changed[:, 6].any()
    if isinstance(move, Exchange):
        assert (changed.sum(axis=1) == 2).all()
        assert changed[:, 1].all()  # the only free atom of its species
        pairs = np.sort(np.asarray(moved)[:, :, 0], axis=1)
        np.testing.assert_array_equal(pairs, pairs[:1].repeat(len(keys), 0))


def test_moves_without_an_atom_to_choose_are_left_out():
    def count(*constraints):
        info = describe_atoms(make_alloy(*constraints))
        return len(cluster_moves(info, 0.4, 0.4, 0.4).moves)

    assert count() == 3
    assert count(FixAtoms([0, 1])) == 3
    assert count(FixAtoms(range(6))) == 2  # the copper atoms cannot be exchanged
    assert count(FixedPlane(range(13), (0, 0, 1))) == 1
    exchange = Exchange().propose(
        jax.random.key(0), jnp.eye(7, 3), ONE, make_context([0, 0, 3, 3, 3, 2, 3])
    )
    np.testing.assert_array_equal(exchange, jnp.eye(7, 3))


def test_compression_does_not_wait_for_fixed_atoms():
    atoms = make_alloy(FixAtoms([0, 3]))
    _, converged = search(atoms, TwoPhase(make_hop_quench(), 10.0), 200)
    assert converged


def test_directions_of_constraints():
    plane, line = FixedPlane([1], (1, 1, 0)), FixedLine([2], (0, 1, 1))
    axis, everything = FixCartesian([3], (True, False, False)), FixCartesian([4])
    twice = FixedPlane([5], (0, 0, 1)), FixedPlane([5], (1, 0, 0))
    atoms = make_alloy(FixAtoms([0]), plane, line, axis, everything, *twice)
    found = count_directions(atoms)
    assert found is not None
    assert found.tolist() == [0, 2, 1, 2, 0, 1, *[3] * 7]
    assert count_directions(make_alloy(FixCom(), Hookean(0, 1, 5.0, 2.0))) is None


def test_a_search_of_two_atoms_of_which_one_is_fixed():
    atoms = ase.Atoms("CuAu", [[0, 0, 0], [2.6, 0, 0]], constraint=FixAtoms([0]))
    atoms.calc = EMT()
    found, _ = search(atoms, steps=100)
    assert found.nsteps == 100
    assert found.failures == 0
    np.testing.assert_array_equal(atoms.positions[0], 0)


@pytest.mark.parametrize(
    "constraint",
    [FixedPlane([0, 4], (0, 0, 1)), FixCartesian([2], (0, 0, 1)), FixCom()],
)
def test_other_constraints_hold_in_searches(constraint):
    atoms = make_alloy(constraint)
    before = atoms.positions.copy(), atoms.get_center_of_mass()
    found, _ = search(atoms)
    if isinstance(constraint, FixCom):
        np.testing.assert_allclose(atoms.get_center_of_mass(), before[1], atol=1e-9)
    else:
        rows = constraint.index
        kept = atoms.positions[rows, 2], before[0][rows, 2]
        np.testing.assert_allclose(*kept, atol=1e-9)
    assert found.failures == 0
    np.testing.assert_array_equal(found._walk.current.positions, atoms.positions)


def test_bond_lengths_hold_in_descents_only():
    atoms = make_alloy(FixBondLengths([(0, 1)]))
    length = atoms.get_distance(0, 1)
    _, converged = search(atoms, "lbfgs", 200)
    assert converged
    assert atoms.get_distance(0, 1) == pytest.approx(length, abs=1e-6)
    with pytest.raises(ValueError, match="random moves, which FixBondLengths"):
        search(atoms)


class Stubborn(FixAtoms):
    def adjust_positions(self, atoms, new):
        raise RuntimeError("Did not converge")


def test_constraints_that_cannot_be_satisfied():
    atoms = make_alloy(Stubborn([0]))
    before = atoms.positions.copy()
    with pytest.raises(CalculationFailed, match="breaks the constraints Stubborn"):
        search(atoms, "lbfgs")
    np.testing.assert_array_equal(atoms.positions, before)


def test_nothing_to_move():
    atoms = make_alloy(FixAtoms(range(13)))
    with pytest.raises(ValueError, match="all atoms are fixed"):
        search(atoms)
    assert search(atoms, "lbfgs")[1]


def test_systems_have_no_constraints():
    with pytest.raises(ValueError, match="FixAtoms: remove them"):
        from_ase(make_alloy(FixAtoms([0])), "gupta")
