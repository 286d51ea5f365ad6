"""SevenNet-0: a universal machine-learned potential, trained on the Materials Project.

Park, Kim, Hwang and Han, J. Chem. Theory Comput. 20, 4857 (2024).
"""

from ase.calculators.calculator import Calculator


def make() -> Calculator:
    """Make the calculator."""
    from sevenn.calculator import (  # pyright: ignore[reportMissingImports]
        SevenNetCalculator,
    )

    return SevenNetCalculator("7net-0", device="cpu")
