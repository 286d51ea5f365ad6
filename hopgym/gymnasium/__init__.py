"""Gymnasium environments: one search, and many in one compiled call."""

from hopgym.gymnasium.env import ClusterEnv as ClusterEnv
from hopgym.gymnasium.vector_env import ClusterVectorEnv as ClusterVectorEnv
