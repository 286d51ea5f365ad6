"""Interfaces to ASE: structures, calculator, optimizer, files.

Requires `pip install "hopgym[chemistry]"`.
"""

try:
    import ase as _  # noqa: F401
except ImportError as error:
    raise ImportError(
        'hopgym.chemistry needs ASE: pip install "hopgym[chemistry]"'
    ) from error

from hopgym.chemistry.calculator import HopgymCalculator as HopgymCalculator
from hopgym.chemistry.convert import from_ase as from_ase
from hopgym.chemistry.convert import to_ase as to_ase
from hopgym.chemistry.extxyz import read_extxyz as read_extxyz
from hopgym.chemistry.extxyz import write_extxyz as write_extxyz
from hopgym.chemistry.zoo_optimizer import ZooOptimizer as ZooOptimizer
