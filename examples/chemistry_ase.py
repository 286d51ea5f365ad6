"""Optimizers of hopgym with a calculator of ASE: a copper-gold cluster with EMT.

pip install "hopgym[chemistry]"
python examples/chemistry_ase.py [STEPS]
"""

import sys

import numpy as np
from ase import Atoms
from ase.calculators.emt import EMT
from ase.cluster import Icosahedron

import hopgym
from hopgym.chemistry import HopgymCalculator, ZooOptimizer, from_ase, to_ase


def start() -> Atoms:
    """Make a distorted cluster of six copper and seven gold atoms."""
    atoms = Icosahedron("Cu", 2)
    atoms.symbols[:7] = "Au"
    atoms.rattle(0.2, seed=1)
    atoms.calc = EMT()
    return atoms


def main(steps: int) -> None:
    """Search with three optimizers, then with a potential of hopgym."""
    for name in ("lbfgs", "learn2hop-lj13-esmc", "bh-lbfgs"):
        search = ZooOptimizer(start(), name, logfile=None, steps=steps)
        search.run(fmax=0.01)
        print(
            f"{name:20} {search.best_energy:8.4f} eV  {search.evaluations} evaluations"
        )

    system, positions = from_ase(Icosahedron("Au", 2), "gupta")
    minimum = hopgym.quench(system, positions)
    atoms = to_ase(system, np.asarray(minimum.positions))
    atoms.calc = HopgymCalculator(system)
    print(f"{system.name}: {atoms.get_potential_energy():.6f} eV, icosahedron")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
