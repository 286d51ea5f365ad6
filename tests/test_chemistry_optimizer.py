"""The zoo as optimizers of ASE."""

import ase
import ase.cluster
import ase.io
import ase.optimize
import jax
import numpy as np
import pytest
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.data import covalent_radii

import hopgym
from hopgym.chemistry import HopgymCalculator, ZooOptimizer, from_ase
from hopgym.chemistry.ase_context import describe_atoms
from hopgym.optimizers import AbstractOptimizer, load, make_optimizer, save
from hopgym.optimizers.learned import make_untrained


class Counting(EMT):
    """EMT that counts."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def calculate(self, *arguments, **options):
        self.calls += 1
        super().calculate(*arguments, **options)


class OnlyEnergy(Calculator):
    """A calculator without free energies."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None
        energy = 0.5 * float(np.sum(self.atoms.positions**2))
        self.results = {"energy": energy, "forces": -self.atoms.positions}


class Flat(AbstractOptimizer):
    def init(self, positions, *, key, context):
        return None

    def update(self, gradient, state, positions, *, value, context):
        return gradient.ravel(), None


class NotANumber(Flat):
    def update(self, gradient, state, positions, *, value, context):
        return (-0.01 * gradient).at[0, 0].set(np.nan), None


def alloy(seed=0):
    atoms = ase.cluster.Icosahedron("Cu", 2)
    atoms.symbols[:7] = "Au"
    atoms.rattle(0.2, seed=seed)
    atoms.calc = Counting()
    return atoms


def optimizer(atoms, name: str | AbstractOptimizer = "lbfgs", **options):
    return ZooOptimizer(atoms, name, logfile=None, **options)


def count_calls(atoms):
    assert isinstance(atoms.calc, Counting)
    return atoms.calc.calls


def hopping():
    atoms = alloy()
    return atoms, optimizer(atoms, "bh-lbfgs", steps=60)


def test_a_descent_ends_where_ase_does():
    ours, theirs = alloy(), alloy()
    search = optimizer(ours)
    assert search.run(fmax=1e-3)
    reference = ase.optimize.BFGS(theirs, logfile=None)  # pyright: ignore[reportArgumentType]
    assert reference.run(fmax=1e-3)
    energy = theirs.get_potential_energy()
    assert ours.get_potential_energy() == pytest.approx(energy, abs=1e-5)
    assert search.best_energy == pytest.approx(energy, abs=1e-5)
    assert np.linalg.norm(ours.get_forces(), axis=1).max() < 1e-3


def test_fire_of_ase_step_for_step():
    ours, theirs = alloy(), alloy()
    optimizer(ours, "fire-ase", steps=20).run(fmax=0)
    reference = ase.optimize.FIRE(theirs, logfile=None)  # pyright: ignore[reportArgumentType]
    reference.run(fmax=0, steps=20)
    np.testing.assert_allclose(ours.positions, theirs.positions, atol=1e-9)


def test_every_evaluation_is_counted_once():
    atoms = alloy()
    search = optimizer(atoms, "bh-lbfgs", steps=30)
    assert not search.run()
    assert search.nsteps == 30
    assert search.evaluations == count_calls(atoms) == 31
    assert not search.run()
    assert search.evaluations == 31
    search.run(steps=5)
    assert search.evaluations == count_calls(atoms) == 36


def test_searches_go_on_at_minima_and_keep_the_best():
    atoms, search = hopping()
    energies = []
    search.attach(lambda: energies.append(atoms.get_potential_energy()))
    search.run(fmax=100.0)
    assert search.nsteps == 60
    assert search.best_energy == min(energies)
    best = search.best_atoms
    assert best.get_potential_energy() == search.best_energy
    best.calc, forces = EMT(), best.get_forces()
    assert best.get_potential_energy() == pytest.approx(search.best_energy)
    np.testing.assert_allclose(best.get_forces(), forces, atol=1e-9)


def test_a_learned_optimizer_moves_atoms_of_any_calculator():
    atoms = alloy()
    learned = load("learn2hop-lj13-esmc")
    search = optimizer(atoms, learned, steps=40)
    first = atoms.get_potential_energy()
    search.run()
    assert search.best_energy < first - 0.5


def test_the_same_walk_as_a_rollout(x64):
    system = hopgym.get_system("LJ-4")
    walked = make_optimizer("lbfgs", system=system, steps=20)
    start = system.sample(jax.random.key(1))
    result = hopgym.rollout(
        hopgym.Environment(system),
        walked,
        jax.random.key(0),
        start[None],
        12,
    )
    atoms = ase.Atoms("X4", np.asarray(start))
    atoms.calc = HopgymCalculator(system)
    optimizer(atoms, walked, steps=12).run(fmax=0)
    np.testing.assert_allclose(atoms.positions, result.state.positions[0], atol=1e-12)


def test_irun_and_log_and_trajectory(tmp_path, capsys):
    atoms = alloy()
    search = ZooOptimizer(
        atoms, "lbfgs", trajectory=str(tmp_path / "course.traj"), logfile="-"
    )
    assert [bool(converged) for converged in search.irun(fmax=0.3)][-1]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["Step", "Time", "Energy", "fmax", "best"]
    assert len(lines) == search.nsteps + 2
    images = ase.io.read(tmp_path / "course.traj", ":")
    assert isinstance(images, list)
    assert len(images) == search.nsteps + 1
    assert images[-1].get_potential_energy() == pytest.approx(search.best_energy)


@pytest.mark.parametrize("name", ["bh-lbfgs", "adam"])
def test_restarts_are_the_same_walk(tmp_path, name):
    whole = alloy()
    expected = optimizer(whole, name, steps=40)
    expected.run(fmax=0)

    file = tmp_path / "walk.restart"
    optimizer(alloy(), name, steps=40, restart=file).run(fmax=0, steps=17)
    atoms = alloy(seed=5)
    search = optimizer(atoms, name, steps=40, restart=file)
    assert (search.nsteps, search.evaluations) == (17, 18)
    search.run(fmax=0)
    np.testing.assert_array_equal(atoms.positions, whole.positions)
    assert search.best_energy == expected.best_energy
    assert search.evaluations == expected.evaluations
    np.testing.assert_array_equal(
        search.best_atoms.positions, expected.best_atoms.positions
    )


def test_restart_files_of_other_runs_are_refused(tmp_path):
    file = tmp_path / "walk.restart"
    optimizer(alloy(), "adam", restart=file).run(steps=2)
    with pytest.raises(ValueError, match="another run: optimizer"):
        optimizer(alloy(), "lbfgs", restart=file)
    copper = ase.cluster.Icosahedron("Cu", 2)
    with pytest.raises(ValueError, match="another run: symbols"):
        optimizer(copper, "adam", restart=file)
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(ValueError, match="damaged"):
        optimizer(alloy(), "adam", restart=file)
    file.write_text("nonsense")
    with pytest.raises(ValueError, match="not a file of hopgym"):
        optimizer(alloy(), "adam", restart=file)


def test_steps_that_are_not_finite_count_as_zero():
    atoms = alloy()
    search = optimizer(atoms, NotANumber(), steps=3)
    before = atoms.positions[0, 0]
    search.run()
    assert search.faults == 3
    assert atoms.positions[0, 0] == before


def test_calculators_without_free_energy_will_do():
    atoms = ase.Atoms("Ar3", np.eye(3))
    atoms.calc = OnlyEnergy()
    assert optimizer(atoms, length=1.0).run(fmax=0.01)


def test_a_descent_at_rest_ends():
    atoms = ase.Atoms("Ar3", np.zeros((3, 3)))
    atoms.calc = OnlyEnergy()
    search = optimizer(atoms)
    assert not search.run(fmax=0.0, steps=10_000)
    assert search.nsteps < 5


def test_units_by_default():
    gold = describe_atoms(ase.Atoms("Au2", [(0, 0, 0), (0, 0, 3)]))
    assert float(gold.length) == pytest.approx(2.88)
    assert float(gold.energy_unit) == 0.5
    other = describe_atoms(ase.Atoms("Zr2", [(0, 0, 0), (0, 0, 3)]))
    assert float(other.length) == pytest.approx(2 * covalent_radii[40])
    reduced = describe_atoms(ase.Atoms("X2", [(0, 0, 0), (0, 0, 1)]))
    assert (float(reduced.length), float(reduced.energy_unit)) == (1, 1)
    atoms = ase.Atoms("Au2", [(0, 0, 0), (0, 0, 3)])
    system, _ = from_ase(atoms, "gupta")
    atoms.calc = HopgymCalculator(system)
    ours = describe_atoms(atoms, energy=2.0)
    assert float(ours.length) == pytest.approx(float(system.length))
    assert float(ours.energy_unit) == 2.0


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: optimizer(alloy(), "bh-lbfg"), KeyError, "bh-lbfgs"),
        (lambda: optimizer(alloy(), steps=0), ValueError, "at least one step"),
        (lambda: optimizer(alloy(), length=-1.0), ValueError, "length must be"),
        (lambda: optimizer(alloy(), energy=np.nan), ValueError, "energy must be"),
        (lambda: optimizer(ase.Atoms("Au")), ValueError, "at least 2"),
        (lambda: optimizer("Au55"), TypeError, r"ase\.(atoms\.)?Atoms"),
        (lambda: optimizer(alloy(), Flat()).run(), ValueError, "displacement"),
        (
            lambda: optimizer(ase.Atoms("Au2", np.eye(3)[:2], pbc=(1, 0, 0))),
            ValueError,
            "set atoms.cell",
        ),
    ],
)
def test_nonsense_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_learned_searches(tmp_path):
    """Of the same constants: the search of the zoo, by an optimizer or a file."""
    path = tmp_path / "mine.eqx"
    search = make_untrained("bh-two-phase", jax.random.key(0))
    save(path, search, {"name": "bh-two-phase"}, {})
    found = []
    for one in ("bh-two-phase", search, str(path)):
        run = ZooOptimizer(alloy(), one, steps=40, logfile=None)
        run.run()
        found.append(run.best_energy)
    np.testing.assert_allclose(found[1:], found[0], rtol=1e-6)
