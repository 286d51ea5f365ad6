"""Optimizers that act as policies of a hopgym environment."""

from hopgym.optimizers.base import AbstractOptimizer as AbstractOptimizer
from hopgym.optimizers.base import Context as Context
from hopgym.optimizers.gradient_descent import GradientDescent as GradientDescent
from hopgym.optimizers.zoo import ZOO as ZOO
from hopgym.optimizers.zoo import make_optimizer as make_optimizer
