"""Optimizers that act as policies of a hopgym environment."""

from hopgym.optimizers.annealing import Annealing as Annealing
from hopgym.optimizers.base import AbstractOptimizer as AbstractOptimizer
from hopgym.optimizers.base import Context as Context
from hopgym.optimizers.fire import Fire as Fire
from hopgym.optimizers.fire_ase import FireAse as FireAse
from hopgym.optimizers.gradient_descent import GradientDescent as GradientDescent
from hopgym.optimizers.optax_wrapper import OptaxOptimizer as OptaxOptimizer
from hopgym.optimizers.optax_wrapper import adam as adam
from hopgym.optimizers.optax_wrapper import as_optax as as_optax
from hopgym.optimizers.optax_wrapper import rmsprop as rmsprop
from hopgym.optimizers.zoo import ZOO as ZOO
from hopgym.optimizers.zoo import make_optimizer as make_optimizer
