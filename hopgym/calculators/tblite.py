"""GFN2-xTB by tblite: a tight-binding method for molecules of all elements up to Rn.

Bannwarth, Ehlert and Grimme, J. Chem. Theory Comput. 15, 1652 (2019).
"""

from ase.calculators.calculator import Calculator


def make() -> Calculator:
    """Make the calculator."""
    from tblite.ase import TBLite  # pyright: ignore[reportMissingImports]

    return TBLite(method="GFN2-xTB", verbosity=0)
