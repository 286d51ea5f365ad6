"""Searches as Markov decision processes, and the whole training loop on the device."""

from hopgym.rl.gymnax import GymnaxEnvironment as GymnaxEnvironment
from hopgym.rl.gymnax import Parameters as Parameters
from hopgym.rl.mdp import MDP as MDP
from hopgym.rl.play import play as play
from hopgym.rl.spaces import Box as Box
