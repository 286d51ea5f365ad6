"""Environments for agents that are trained in JAX, the whole loop on the device."""

from hopgym.rl.evaluation import play as play
from hopgym.rl.gymnax_environment import GymnaxEnvironment as GymnaxEnvironment
from hopgym.rl.gymnax_environment import Parameters as Parameters
from hopgym.rl.spaces import Box as Box
