"""Searches on calculators of ASE: walks, units, starts, files and failures."""

import functools
import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ase.build
import ase.io
import ase.optimize
import jax
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import CalculationFailed, all_changes
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms

import hopgym
from hopgym.calculators import find_calculator
from hopgym.chemistry import HopgymCalculator, read_extxyz, to_ase
from hopgym.structure_search.command import main
from hopgym.structure_search.evaluators import (
    ExecutorEvaluator,
    Failure,
    Request,
    Task,
    make_process_pool,
)

UNITS = {"length": 2.5, "energy": 0.5}
SMALL = {"optimizer": "bh-lbfgs", "starts": 2, "evaluations": 120, **UNITS}
WORDS = [
    *("--optimizer", "bh-lbfgs", "--starts", "2", "--steps", "120"),
    *("--length", "2.5", "--energy", "0.5"),
]


def search(atoms, calculator: Any = EMT, **options):
    return hopgym.search(atoms, calculator, progress=None, **{**SMALL, **options})


def row(formula):
    atoms = Atoms(formula)
    atoms.positions[:, 0] = 2.5 * np.arange(len(atoms))
    return atoms


def get_energies(minima):
    return [atoms.get_potential_energy() for atoms in minima]


@pytest.fixture(scope="module")
def minima():
    return search("Cu4")


def test_minima_are_minima_for_ase(minima):
    lowest = minima[0]
    assert lowest.info["symmetry"] == "Td" and lowest.info["hits"] == 2
    assert get_energies(minima) == sorted(get_energies(minima))
    for found in minima:
        atoms = found.copy()
        atoms.calc = found.calc
        stored = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = EMT()
        assert atoms.get_potential_energy() == pytest.approx(stored[0], abs=1e-9)
        np.testing.assert_allclose(atoms.get_forces(), stored[1], atol=1e-9)
        ase.optimize.BFGS(atoms, logfile=None).run(fmax=1e-4)
        assert atoms.get_potential_energy() == pytest.approx(stored[0], abs=1e-4)


def test_calculators_of_potentials_find_what_these_find():
    system = hopgym.get_system("Gupta-Au6")
    known = hopgym.search(
        "Gupta-Au6", optimizer="bh-lbfgs", starts=2, evaluations=200, progress=None
    )
    found = hopgym.search(
        "Au6",
        HopgymCalculator(system),
        optimizer="bh-lbfgs",
        starts=2,
        evaluations=200,
        progress=None,
    )
    assert found[0].get_potential_energy() == pytest.approx(
        known[0].get_potential_energy(), abs=1e-5
    )


@pytest.mark.parametrize(
    ("name", "factor"), [("Gupta-Au13", 1.2), ("Gupta-Pt13", 1.2), ("SW-Si8", 2.0)]
)
def test_estimated_units_are_those_of_systems(name, factor, tmp_path):
    system = hopgym.get_system(name)
    atoms = to_ase(system, system.sample(jax.random.key(1)))
    hopgym.search(
        atoms,
        HopgymCalculator(system),
        optimizer="lbfgs",
        starts=1,
        evaluations=1,
        out=tmp_path,
        progress=None,
    )
    units = read_meta(tmp_path)["units"]
    assert units["length"] == pytest.approx(float(system.length), rel=0.08)
    assert 1 / factor < units["energy"] / float(system.energy_unit) < factor


def read_meta(folder):
    return json.loads((folder / "minima.json").read_text())["meta"]


def test_threads_find_the_same(minima):
    with ThreadPoolExecutor(2) as executor:
        found = search("Cu4", executor=executor)
    assert get_energies(found) == get_energies(minima)
    assert [atoms.info for atoms in found] == [atoms.info for atoms in minima]


def test_every_evaluation_is_counted(tmp_path):
    counting = CountingEMT()
    search("Cu4", counting, out=tmp_path)
    meta = read_meta(tmp_path)
    names = ("search_evaluations", "quench_evaluations", "refine_evaluations")
    # For atoms that overlap, the calculator is not asked.
    assert sum(meta[name] for name in names) - meta["failures"] == counting.calls
    counting = CountingEMT()
    hopgym.search(
        "Cu4", counting, optimizer="gd", starts=1, evaluations=5, out=tmp_path / "gd"
    )
    meta = read_meta(tmp_path / "gd")
    assert meta["unit_evaluations"] > 10 and meta["failures"] == 0
    assert sum(meta[n] for n in (*names, "unit_evaluations")) == counting.calls


class CountingEMT(EMT):
    """Counts, and does what it is told before each calculation."""

    def __init__(self, before=lambda calculator, atoms: None):
        super().__init__()
        self.calls = 0
        self.before = before

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        self.calls += 1
        self.before(self, atoms)
        super().calculate(atoms, properties, system_changes or all_changes)


def test_stopped_searches_go_on_as_if_nothing_had_been(minima, tmp_path):
    def stop(calculator, atoms):
        if calculator.calls == 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search("Cu4", CountingEMT(stop), out=tmp_path)
    assert (tmp_path / "report.html").exists()
    found = search("Cu4", CountingEMT(), out=tmp_path)
    assert get_energies(found) == get_energies(minima)
    assert [atoms.info for atoms in found] == [atoms.info for atoms in minima]


def test_prolonged_searches_are_those_that_were_longer(minima, tmp_path):
    """By more steps, and by more starts."""
    search("Cu4", out=tmp_path, starts=1, evaluations=60)
    search("Cu4", out=tmp_path, starts=1, evaluations=100)
    found = search("Cu4", out=tmp_path)
    assert get_energies(found) == pytest.approx(get_energies(minima), abs=1e-5)
    hits = [atoms.info["hits"] for atoms in found]
    assert hits == [atoms.info["hits"] for atoms in minima]


def fail_at_times(calculator, atoms):
    if calculator.calls % 40 == 0:
        raise RuntimeError("did not converge")


def nan_at_times(calculator, atoms):
    if calculator.calls % 40 == 0:
        atoms.positions[0] = np.nan


def move_at_times(calculator, atoms):
    if calculator.calls % 40 == 0:
        atoms.positions[0] += 1


@pytest.mark.parametrize("fault", [fail_at_times, nan_at_times, move_at_times])
def test_failures_cost_their_hops_and_are_counted(fault, tmp_path):
    found = search("Cu4", CountingEMT(fault), out=tmp_path)
    assert found[0].info["symmetry"] == "Td"
    meta = read_meta(tmp_path)
    assert 5 <= meta["failures"] <= 15
    assert meta["search_evaluations"] <= 2 * 121


def test_calculators_that_keep_failing_end_the_search(tmp_path):
    def fail_after(calculator, atoms):
        if calculator.calls > 100:
            raise RuntimeError("the licence has expired")

    with pytest.raises(CalculationFailed, match=r"10 times in a row.*licence"):
        search("Cu4", CountingEMT(fail_after), out=tmp_path)
    found = search("Cu4", EMT(), out=tmp_path / "again")
    assert found


def test_a_stopped_search_keeps_what_it_found(tmp_path, capsys):
    """Without further evaluations; the next run refines it."""

    def expire(calculator, atoms):
        if calculator.calls > 200:
            raise RuntimeError("the licence has expired")

    calculator = CountingEMT(expire)
    with pytest.raises(CalculationFailed):
        search("Cu4", calculator, out=tmp_path)
    assert calculator.calls == 210
    stopped = read_extxyz(tmp_path / "minima.extxyz")[0]
    assert "force" not in stopped.info
    words = ["--out", str(tmp_path), "--resume"]
    with pytest.raises(SystemExit):
        main(words)
    assert "repeat the call of hopgym.search" in capsys.readouterr().err


def test_slabs_may_be_left_handed():
    slab = ase.build.fcc111("Cu", (2, 2, 2), vacuum=8)
    slab.set_cell(slab.cell.array[[1, 0, 2]])
    slab.pbc = True
    found = search("Cu1", on=slab, evaluations=40)
    for atoms in found:
        assert atoms.positions[-1, 2] > slab.positions[:, 2].max()


def die(calculator, atoms):
    if atoms.positions[0, 0] > 100:
        os._exit(1)


@pytest.mark.optimised
def test_a_worker_that_dies_costs_its_request_only():
    """The others are repeated in another pool."""
    template = Atoms("Cu2", [[0, 0, 0], [0, 0, 2.5]])
    task = Task(find_calculator(functools.partial(CountingEMT, die)), template)
    evaluator = ExecutorEvaluator(task, lambda: make_process_pool(1))
    for number, shift in enumerate((0, 200, 0, 1)):
        positions = template.positions + np.array([shift, 0, 0])
        evaluator.submit(Request(number, template.positions, positions))
    results = {}
    while evaluator.pending:
        for request, result in evaluator.collect(10):
            results[request.number] = result
    evaluator.close()
    assert isinstance(results.pop(1), Failure)
    energies = [float(result.energy) for result in results.values()]
    assert len(energies) == 3 and np.ptp(energies) < 1e-9


def test_atoms_on_a_slab(tmp_path):
    slab = ase.build.fcc111("Cu", (3, 3, 2), vacuum=8)
    slab.pbc = [True, True, False]
    slab.set_constraint(FixAtoms(mask=slab.get_tags() == 2))
    found = search("Cu2", EMT, on=slab, out=tmp_path, evaluations=100)
    assert len(found[0]) == 20 and "Cu2-on-Cu18" in read_meta(tmp_path)["system"]
    for atoms in found:
        fixed = slab.get_tags() == 2
        np.testing.assert_array_equal(
            atoms.positions[:18][fixed], slab.positions[fixed]
        )
        assert np.all(atoms.positions[18:, 2] > slab.positions[:, 2].max() + 1)
        assert atoms.pbc.tolist() == [True, True, False]


def test_atoms_in_a_cell():
    found = search("Al4", EMT, cell=(4.0, 4.0, 4.0), evaluations=60, length=2.8)
    assert found[0].pbc.all() and found[0].cell.cellpar()[0] == 4
    assert found[0].info["symmetry"]


def test_starts_from_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tetrahedron = search("Cu4", starts=1, evaluations=60)[0]
    square = Atoms("Cu4", [[0, 0, 0], [2.3, 0, 0], [2.3, 2.3, 0], [0, 2.3, 0]])
    ase.io.write("guess.traj", [tetrahedron, square])
    words = ["--calculator", "emt", "--start", "guess.traj", "--out", "found"]
    assert main([*words, *WORDS]) == 0
    lowest = read_extxyz("found/minima.extxyz")[0]
    assert lowest.get_potential_energy() == pytest.approx(
        tetrahedron.get_potential_energy(), abs=1e-5
    )
    assert main(["--out", "found", "--resume"]) == 0


PLUGIN = "from ase.calculators.emt import EMT\ndef make():\n    return EMT()\n"


def test_calculators_of_files(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(PLUGIN)
    words = ["Cu3", "--calculator", "mine.py:make", *WORDS]
    assert main(words) == 0
    folder = tmp_path / "searches" / "Cu3-mine-make"
    assert read_meta(folder)["plan"]["calculator"] == "mine:make"
    assert main(words) == 0
    (tmp_path / "mine.py").write_text(PLUGIN + "# another\n")
    with pytest.raises(SystemExit):
        main(words)
    assert "calculator_version is" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["Cu3", "--calculator", "emtt"], "did you mean 'emt'"),
        (["Cu3", "--calculator", "none.py:make"], "no such file"),
        (["Cu3", "--workers", "2"], "--workers is for searches on a --calculator"),
        (["Cu3", "--calculator", "emt", "--potential", "gupta"], "not both"),
        (["--calculator", "emt"], "give a formula such as Pt13, or --start FILE"),
        (["Cu3", "--calculator", "emt", "--on", "none.xyz"], "no such file"),
        (["Cu3", "--calculator", "emt", "--cell", "4,4"], "three lengths"),
        (["Cu3", "--calculator", "emt", "--cell", "4,4,4", "--volume", "9"], "one of"),
        (["Qq3", "--calculator", "emt"], "there is no element Qq"),
        (["Fe3", "--calculator", "emt"], "NotImplementedError"),
        (["LJ5", "--calculator", "emt"], "there is no element X"),
    ],
)
def test_nonsense_is_one_line(words, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main([*words, "--optimizer", "bh-lbfgs", "--out", "found"])
    assert stop.value.code == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert message in last
    assert not (tmp_path / "found").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"atoms": 7}, "atoms must be a formula"),
        ({"atoms": []}, "no structures"),
        ({"atoms": [row("Cu2"), row("Cu3")]}, "the first one is Cu2"),
        ({"atoms": Atoms("Cu2", [[0, 0, 0], [0, 0, 0.5]])}, "overlap"),
        ({"atoms": "Cu3", "calculator": None, "cell": (4, 4, 4)}, "calculator"),
        ({"atoms": "Cu3", "calculator": 7}, "a calculator is one of ASE"),
        ({"atoms": "Cu3", "calculator": dict}, "no calculator of ASE"),
        ({"atoms": "Cu3", "calculator": EMT(), "workers": 2}, "of their own"),
        ({"atoms": "Cu3", "calculator": lambda: EMT(), "workers": 2}, "be sent"),
        ({"atoms": "Cu3", "workers": 0}, "workers must be an integer"),
        ({"atoms": "Cu3", "evaluations": 0}, "evaluations must be an integer"),
        ({"atoms": "Cu3", "energy": -1.0}, "energy must be positive"),
        ({"atoms": "Cu50", "on": "small"}, "no room"),
        ({"atoms": "Cu3", "on": "cluster"}, "periodic along its first two"),
    ],
)
def test_nonsense_from_python(options, message):
    slabs = {
        "small": ase.build.fcc111("Cu", (1, 1, 2), vacuum=8, periodic=False),
        "cluster": row("Cu3"),
    }
    slabs["small"].pbc = [True, True, False]
    if "on" in options:
        options = {**options, "on": slabs[options["on"]]}
    with pytest.raises((ValueError, TypeError), match=message):
        search(**{"calculator": EMT, **options})
