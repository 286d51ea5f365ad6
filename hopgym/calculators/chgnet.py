"""CHGNet: a universal machine-learned potential, trained on the Materials Project.

Deng, Zhong, Jun, Riebesell, Han, Bartel and Ceder, Nat. Mach. Intell. 5, 1031 (2023).
"""

from ase.calculators.calculator import Calculator

from hopgym.calculators.in_vacuum import InVacuum

CUTOFF = 6.0  # angstrom, of its graphs


def make() -> Calculator:
    """Make the calculator, which puts clusters into a box: it knows crystals only."""
    from chgnet.model import (  # pyright: ignore[reportMissingImports]
        CHGNet,
        CHGNetCalculator,
    )

    model = CHGNet.load(use_device="cpu", verbose=False)
    calculator = CHGNetCalculator(model, use_device="cpu", on_isolated_atoms="ignore")
    return InVacuum(calculator, CUTOFF)
