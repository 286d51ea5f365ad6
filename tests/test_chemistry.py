"""Structures of ASE and the calculator."""

import runpy
import subprocess
import sys
from pathlib import Path

import ase
import ase.build
import ase.calculators.lj
import ase.cluster
import ase.optimize
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hopgym
from hopgym.chemistry import HopgymCalculator, from_ase, to_ase
from hopgym.optimizers import LBFGS
from hopgym.structures import icosahedron

pytestmark = pytest.mark.optimised


def rattled(symbols, seed=0):
    rng = np.random.default_rng(seed)
    places = np.array(icosahedron(1), float)[: len(symbols)]
    places *= 1.1 if set(symbols) <= {"X", "Ar"} else 2.9
    return ase.Atoms(symbols, places + rng.normal(0, 0.03, places.shape))


def silicon(cells=2, edge=5.43):
    atoms = ase.build.bulk("Si", "diamond", a=edge, cubic=True).repeat(cells)
    atoms.rattle(0.05, seed=0)
    return atoms


def changed(atoms, **changes):
    for name, value in changes.items():
        setattr(atoms, name, value)
    return atoms


def displaced(atoms, value):
    atoms.positions[1, 2] = value
    return atoms


CASES = {
    "lj": lambda: (rattled(["Ar"] * 13), "lj"),
    "morse": lambda: (rattled(["X"] * 13), "morse6"),
    "gupta": lambda: (rattled(["Au", "Ag"] * 6 + ["Au"]), "gupta"),
    "table4": lambda: (rattled(["Au"] * 13), "gupta-table4"),
    "sw": lambda: (silicon(), "sw"),
}


@pytest.mark.parametrize("case", CASES)
def test_round_trip_keeps_order_cell_and_energy(case):
    atoms, potential = CASES[case]()
    system, positions = from_ase(atoms, potential)
    again = to_ase(system, positions)
    assert again.get_chemical_symbols() == atoms.get_chemical_symbols()
    np.testing.assert_allclose(again.positions, atoms.positions, rtol=1e-6)
    np.testing.assert_allclose(again.cell, atoms.cell, rtol=1e-6)
    np.testing.assert_array_equal(again.pbc, atoms.pbc)
    energy, _ = system.energy_and_gradient(positions)
    atoms.calc = HopgymCalculator(system)
    assert atoms.get_potential_energy() == pytest.approx(float(energy), rel=1e-5)


def test_registered_systems_are_recognised():
    known = {"lj": "LJ-13", "gupta": "Gupta-Ag6Au7", "sw": "SW-Si8"}
    for potential, name in known.items():
        system = hopgym.get_system(name)
        atoms = to_ase(system, system.sample(jax.random.key(0)))
        again, _ = from_ase(atoms, potential)
        assert again.name == name
        assert float(again.energy_scale) == float(system.energy_scale)


def test_units_of_pair_potentials_scale_everything():
    reduced = hopgym.get_system("LJ-13")
    atoms = to_ase(reduced, np.array(icosahedron(1)) * 3.8)
    system, positions = from_ase(atoms, "lj", d0=3.8, epsilon=0.01)
    energy, _ = system.energy_and_gradient(positions)
    expected, _ = reduced.energy_and_gradient(icosahedron(1))
    assert float(energy) == pytest.approx(0.01 * float(expected), rel=1e-5)
    assert float(system.reference) == pytest.approx(0.01 * float(reduced.reference))


@pytest.mark.parametrize(("potential", "atoms"), [("lj", 160), ("morse6", 90)])
def test_clusters_may_be_larger_than_the_tables(potential, atoms):
    places = np.random.default_rng(0).normal(0, 3, (atoms, 3))
    system, _ = from_ase(ase.Atoms(["X"] * atoms, places), potential)
    assert system.atoms == atoms
    assert not system.has_reference


@pytest.mark.parametrize(
    ("atoms", "potential", "words"),
    [
        (lambda: ase.Atoms(), "lj", "at least 2 atoms"),
        (lambda: ase.Atoms("Au"), "gupta", "at least 2 atoms"),
        (lambda: displaced(rattled(["Au"] * 4), np.nan), "gupta", "finite"),
        (lambda: displaced(rattled(["Au"] * 4), np.inf), "lj", "finite"),
        (lambda: rattled(["Ar", "Kr"]), "lj", "one element"),
        (lambda: rattled(["Au", "Ag", "Pt"]), "gupta", "one or two metals"),
        (lambda: rattled(["Fe"] * 3), "gupta", "no parameter set"),
        (lambda: rattled(["Ag", "Pd"]), "gupta", "no parameter set"),
        (lambda: rattled(["Au"] * 3), "gupta-nonsense", "choose one of"),
        (lambda: changed(silicon(), symbols="Ge64"), "sw", "Si only"),
        (lambda: changed(silicon(), pbc=False), "sw", "periodic"),
        (lambda: changed(silicon(), pbc=(1, 1, 0)), "sw", "all axes or none"),
        (lambda: silicon(1, 5.5), "sw", "twice the cutoff"),
        (lambda: ase.build.bulk("Si").repeat(4), "sw", "orthorhombic"),
        (lambda: changed(silicon(), cell=np.zeros((3, 3))), "sw", "set atoms.cell"),
        (lambda: silicon(), "gupta", "free space"),
        (lambda: silicon(), "lj", "free space"),
        (lambda: rattled(["Ar"] * 3), "morse5", "range parameter"),
        (lambda: rattled(["Ar"] * 3), "lennard", "unknown potential"),
    ],
)
def test_what_no_potential_describes_is_refused(atoms, potential, words):
    with pytest.raises(ValueError, match=words):
        from_ase(atoms(), potential)


def test_units_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="positive"):
        from_ase(rattled(["Ar"] * 4), "lj", d0=0.0)
    with pytest.raises(ValueError, match="of its own"):
        from_ase(rattled(["Au"] * 4), "gupta", d0=2.0)
    system = hopgym.get_system("LJ-4")
    with pytest.raises(ValueError, match="shape"):
        to_ase(system, np.zeros((5, 3)))
    with pytest.raises(ValueError, match="finite"):
        to_ase(system, np.full((4, 3), np.nan))


def test_energy_and_forces_are_attached():
    system = hopgym.get_system("LJ-13")
    energy, gradient = system.energy_and_gradient(icosahedron(1))
    atoms = to_ase(system, icosahedron(1), energy, gradient)
    assert atoms.get_potential_energy() == float(energy)
    np.testing.assert_array_equal(atoms.get_forces(), -np.asarray(gradient, float))


def test_lennard_jones_agrees_with_ase():
    atoms = rattled(["X"] * 13)
    system, _ = from_ase(atoms, "lj")
    theirs = atoms.copy()
    theirs.calc = ase.calculators.lj.LennardJones(
        sigma=2 ** (-1 / 6), epsilon=1.0, rc=1e6, smooth=False
    )
    atoms.calc = HopgymCalculator(system)
    assert atoms.get_potential_energy() == pytest.approx(
        theirs.get_potential_energy(), abs=1e-9
    )
    np.testing.assert_allclose(atoms.get_forces(), theirs.get_forces(), atol=1e-9)
    energies = atoms.get_potential_energies()
    assert energies.sum() == pytest.approx(atoms.get_potential_energy())


@pytest.mark.parametrize("case", ["gupta", "sw"])
def test_forces_are_derivatives_of_the_energy(case):
    atoms, potential = CASES[case]()
    atoms.calc = HopgymCalculator(from_ase(atoms, potential)[0])
    forces = atoms.get_forces()
    for atom, axis in ((0, 0), (5, 2)):
        energies = []
        for sign in (-1, 1):
            moved = atoms.copy()
            moved.calc = atoms.calc
            moved.positions[atom, axis] += sign * 1e-5
            energies.append(moved.get_potential_energy())
        slope = (energies[1] - energies[0]) / 2e-5
        assert forces[atom, axis] == pytest.approx(-slope, abs=1e-7)


def test_calculator_has_the_parameters_as_written():
    atoms = rattled(["Ag"] * 6 + ["Au"] * 7)
    atoms.calc = HopgymCalculator(hopgym.get_system("Gupta-Ag6Au7"))
    with jax.enable_x64(True):
        exact = hopgym.get_system("Gupta-Ag6Au7")
        energy, _ = exact.energy_and_gradient(jnp.asarray(atoms.positions))
    assert atoms.get_potential_energy() == pytest.approx(float(energy), abs=1e-10)


def test_calculator_serves_optimizers_of_ase():
    atoms = rattled(["Au"] * 13)
    system, positions = from_ase(atoms, "gupta")
    atoms.calc = HopgymCalculator(system)
    assert ase.optimize.BFGS(atoms, logfile=None).run(fmax=1e-4)
    found = hopgym.quench(system, positions, optimizer=LBFGS())
    assert atoms.get_potential_energy() == pytest.approx(float(found.energy), abs=1e-3)


@pytest.mark.parametrize(
    ("atoms", "words"),
    [
        (lambda: rattled(["Cu"] * 4), "no parameters for Cu"),
        (lambda: ase.Atoms("Au"), "at least 2"),
        (lambda: displaced(rattled(["Au"] * 4), np.nan), "finite"),
        (lambda: changed(rattled(["Au"] * 4), cell=[9, 9, 9], pbc=True), "free space"),
    ],
)
def test_calculator_refuses_what_the_potential_does_not_describe(atoms, words):
    atoms = atoms()
    atoms.calc = HopgymCalculator(hopgym.get_system("Gupta-Au13"))
    with pytest.raises(ValueError, match=words):
        atoms.get_potential_energy()


def test_without_ase_the_rest_works_and_the_message_tells_what_to_install():
    code = (
        "import sys; sys.modules['ase'] = None\n"
        "import hopgym; hopgym.get_system('LJ-4')\n"
        "try:\n"
        "    import hopgym.chemistry\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert 'pip install "hopgym[chemistry]"' in found.stdout


def test_importing_hopgym_does_not_import_ase():
    code = "import sys, hopgym; print({'ase', 'plotly', 'pymatgen'} & set(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["chemistry_ase.py", "10"], "Gupta-Au13: -40.669"),
        (["chemistry_search.py", "Au4", "60"], "angstrom across"),
    ],
)
def test_examples_run(words, printed, monkeypatch, capsys):
    jax.devices()  # a search asks for more devices where none are in use yet
    monkeypatch.setattr(sys, "argv", words)
    path = Path(__file__).parents[1] / "examples" / words[0]
    runpy.run_path(str(path), run_name="__main__")
    assert printed in capsys.readouterr().out
