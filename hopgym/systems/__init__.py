"""Systems: a potential with atoms, box, random starts and reference energy."""

from hopgym.systems.registry import get_system as get_system
from hopgym.systems.registry import register_system as register_system
from hopgym.systems.registry import system_names as system_names
from hopgym.systems.start import AbstractStart as AbstractStart
from hopgym.systems.start import HarmonicStart as HarmonicStart
from hopgym.systems.system import System as System
from hopgym.systems.system import stack as stack
