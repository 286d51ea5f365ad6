"""Calculators of ASE by name, for searches: one per file, and those of users."""

from hopgym.calculators.registry import CALCULATORS as CALCULATORS
from hopgym.calculators.registry import CalculatorSource as CalculatorSource
from hopgym.calculators.registry import CalculatorUnavailable as CalculatorUnavailable
from hopgym.calculators.registry import find_calculator as find_calculator
