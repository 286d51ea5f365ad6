"""Potentials: energy, gradient and per-atom energies of one replica."""

from hopgym.potentials.base import AbstractPotential as AbstractPotential
from hopgym.potentials.base import HasCore as HasCore
from hopgym.potentials.base import HasCutoff as HasCutoff
from hopgym.potentials.gupta import Gupta as Gupta
from hopgym.potentials.lennard_jones import LennardJones as LennardJones
from hopgym.potentials.morse import Morse as Morse
from hopgym.potentials.soft_sphere import SoftSphere as SoftSphere
from hopgym.potentials.stillinger_weber import StillingerWeber as StillingerWeber
