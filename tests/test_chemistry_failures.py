"""Calculators that fail, and restart files of other calculators."""

import ase.cluster
import numpy as np
import pytest
from ase.calculators.calculator import CalculationFailed
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms

from hopgym import _serialisation
from hopgym.chemistry import ZooOptimizer


class Failing(EMT):
    """EMT that fails, or answers nonsense, at some calls."""

    def __init__(self, fails_at=(), answers_nan=False):
        super().__init__()
        self.calls = 0
        self.fails_at = fails_at
        self.answers_nan = answers_nan

    def calculate(self, *arguments, **options):
        self.calls += 1
        fails = self.calls in self.fails_at
        if fails and not self.answers_nan:
            raise RuntimeError("the server is down")
        super().calculate(*arguments, **options)
        if fails:
            self.results["energy"] = self.results["free_energy"] = np.nan


def make_atoms(calculator):
    atoms = ase.cluster.Icosahedron("Cu", 2)
    atoms.symbols[:7] = "Au"
    atoms.rattle(0.2, seed=0)
    atoms.calc = calculator
    return atoms


def make_search(calculator, name="bh-lbfgs", steps=60, **options):
    atoms = make_atoms(calculator)
    return ZooOptimizer(atoms, name, logfile=None, steps=steps, **options)


@pytest.mark.parametrize("answers_nan", [False, True])
@pytest.mark.parametrize("name", ["bh-lbfgs", "bh-two-phase", "bh-paper"])
def test_a_failed_evaluation_costs_the_hop(name, answers_nan):
    calculator = Failing({20, 30, 31}, answers_nan)
    found = make_search(calculator, name)
    minimum = []
    found.attach(lambda: minimum.append(found._walk.opt_state.positions))
    found.run()
    assert found.nsteps == 60
    assert found.failures == 3
    assert found.evaluations == calculator.calls == 61
    assert np.isfinite(found.best_energy)
    # The walk left the quench, and goes on from the last minimum of the walk.
    assert found._walk.opt_state.hops >= 3
    assert np.isfinite(found.atoms.get_potential_energy())
    assert len(minimum) == 61 - 3


def test_a_calculator_that_is_gone_ends_the_search(tmp_path):
    found = make_search(Failing(range(20, 100)), restart=tmp_path / "walk")
    with pytest.raises(RuntimeError, match="server is down"):
        found.run()
    assert found.failures == 10
    assert found.nsteps == 28
    assert np.isfinite(found.best_energy)
    assert len(found.best_atoms) == 13
    again = make_search(EMT(), restart=tmp_path / "walk")
    assert (again.nsteps, again.failures, again.evaluations) == (28, 10, 29)
    assert again.best_energy == found.best_energy
    again.run()
    assert again.nsteps == 60
    assert again.failures == 10


def test_a_descent_stops_at_a_failure_and_can_go_on():
    expected = make_search(Failing(), "lbfgs")
    expected.run()
    found = make_search(Failing({5}), "lbfgs")
    with pytest.raises(RuntimeError, match="server is down"):
        found.run()
    assert (found.evaluations, found.nsteps, found.failures) == (4, 3, 0)
    found.run()
    np.testing.assert_array_equal(found.atoms.positions, expected.atoms.positions)
    found = make_search(Failing({3}, answers_nan=True), "lbfgs")
    with pytest.raises(CalculationFailed, match="not finite"):
        found.run()


def test_failures_are_logged(capsys):
    ZooOptimizer(make_atoms(Failing({3})), "bh-lbfgs", steps=5).run()
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "failed: the server is down" in line]
    assert len(lines) == 7


def test_the_first_evaluation_must_not_fail():
    with pytest.raises(RuntimeError, match="server is down"):
        make_search(Failing({1})).run()


@pytest.mark.parametrize("name", ["bh-lbfgs", "adam"])
def test_restart_files_of_other_calculators_are_refused(tmp_path, name):
    file = tmp_path / "walk"
    make_search(EMT(), name, restart=file).run(steps=15)
    for calculator in (LennardJones(), LennardJones(sigma=2.0, epsilon=0.3)):
        with pytest.raises(ValueError, match="of another calculator: the energy"):
            make_search(calculator, name, restart=file)
    found = make_search(None, name, restart=file)
    found.atoms.calc = LennardJones()
    with pytest.raises(ValueError, match="of another calculator: the energy"):
        found.run()
    found.atoms.calc = EMT()
    found.run(steps=5)
    assert found.nsteps == 20


def test_restart_files_of_earlier_versions(tmp_path):
    """They do not count failures."""
    file = tmp_path / "walk"
    found = make_search(EMT(), restart=file)
    found.run(steps=15)
    header = _serialisation.read_header(file)
    own = _serialisation.OWN_ENTRIES
    header = {key: value for key, value in header.items() if key not in own}
    header["counts"] = header["counts"][:3]
    tree = found._walk.arrays()
    _serialisation.write(file, header, tree)
    again = make_search(EMT(), restart=file)
    assert (again.nsteps, again.evaluations, again.failures) == (15, 16, 0)


def test_restart_keeps_fixed_atoms(tmp_path):
    def walk(*pieces):
        atoms = make_atoms(EMT())
        for steps in pieces:
            atoms = make_atoms(EMT())
            atoms.set_constraint(FixAtoms([0, 8]))
            file = tmp_path / str(len(pieces))
            options = {"logfile": None, "steps": 30, "restart": file}
            ZooOptimizer(atoms, "bh-lbfgs", **options).run(steps=steps)
        return atoms.positions

    np.testing.assert_array_equal(walk(12, 18), walk(30))
    np.testing.assert_array_equal(walk(30)[[0, 8]], make_atoms(EMT()).positions[[0, 8]])
