"""The wrappers and the loop of CleanRL's agents for continuous actions.

python examples/rl_cleanrl.py --steps 2000

Actions are random here; replace them by those of an agent of CleanRL.
"""

import argparse

import gymnasium as gym
import numpy as np

import hopgym  # registers the environments

parser = argparse.ArgumentParser()
parser.add_argument("--system", default="LJ-7", choices=hopgym.system_names())
parser.add_argument("--steps", type=int, default=2000)
parser.add_argument("--horizon", type=int, default=200)
parser.add_argument("--envs", type=int, default=4)
parser.add_argument("--gamma", type=float, default=0.99)
args = parser.parse_args()


def make_env():
    env = gym.make(
        f"hopgym/{args.system}",
        observation="dict",
        reward="energy",
        horizon=args.horizon,
        max_displacement=0.05,
    )
    env = gym.wrappers.FlattenObservation(env)
    env = gym.wrappers.RecordEpisodeStatistics(env)
    env = gym.wrappers.ClipAction(env)
    env = gym.wrappers.NormalizeObservation(env)
    env = gym.wrappers.TransformObservation(
        env, lambda seen: np.clip(seen, -10, 10), env.observation_space
    )
    env = gym.wrappers.NormalizeReward(env, gamma=args.gamma)
    return gym.wrappers.TransformReward(
        env, lambda reward: float(np.clip(float(reward), -10, 10))
    )


envs = gym.vector.SyncVectorEnv([make_env for _ in range(args.envs)])
observations, _ = envs.reset(seed=0)
for step in range(args.steps):
    actions = envs.action_space.sample()
    observations, rewards, terminations, truncations, infos = envs.step(actions)
    if "episode" in infos:
        ended = infos["_episode"]
        returns = infos["episode"]["r"][ended]
        lowest = infos["best_energy"][ended]
        print(
            f"step {step}: return {np.mean(returns):.3f}, "
            f"lowest energy {np.min(lowest):.3f}"
        )
envs.close()
