"""Find low minima of a gold cluster, and use them in ASE.

pip install "hopgym[chemistry]"
python examples/chemistry_search.py [FORMULA [STEPS]]
"""

import sys
import tempfile
from pathlib import Path

from hopgym.chemistry import HopgymCalculator, from_ase, read_extxyz
from hopgym.structure_search.command import main as search


def main(formula: str, steps: str) -> None:
    """Search, and analyse the structures found."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / formula
        search([formula, "--starts", "20", "--steps", steps, "--out", str(out)])
        minima = read_extxyz(out / "minima.extxyz")
    system, _ = from_ase(minima[0], "gupta")
    for atoms in minima[:3]:
        stored = atoms.get_potential_energy()
        atoms.calc = HopgymCalculator(system)
        distances = atoms.get_all_distances()
        print(
            f"{stored:.6f} eV (again: {atoms.get_potential_energy():.6f}), "
            f"{atoms.info['symmetry'] or 'symmetry unknown'}, "
            f"{distances.max():.2f} angstrom across"
        )


if __name__ == "__main__":
    chosen = sys.argv[1:]
    main(*(chosen + ["Au13", "2000"][len(chosen) :]))
