"""Environments for agents that are trained in JAX, the whole loop on the device."""

from hopgym.rl.gymnax import GymnaxEnvironment as GymnaxEnvironment
from hopgym.rl.gymnax import Parameters as Parameters
from hopgym.rl.play import play as play
from hopgym.rl.spaces import Box as Box
