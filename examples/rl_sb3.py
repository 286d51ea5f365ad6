"""Train PPO of Stable-Baselines3 on a registered environment.

pip install "hopgym[rl]"
python examples/rl_sb3.py --system LJ-7 --steps 200000
"""

import argparse

import numpy as np
from stable_baselines3 import PPO  # pyright: ignore[reportMissingImports]
from stable_baselines3.common.env_util import make_vec_env  # pyright: ignore[reportMissingImports]
from stable_baselines3.common.vec_env import VecNormalize  # pyright: ignore[reportMissingImports]

import hopgym  # registers the environments

parser = argparse.ArgumentParser()
parser.add_argument("--system", default="LJ-7", choices=hopgym.system_names())
parser.add_argument("--steps", type=int, default=200_000)
parser.add_argument("--horizon", type=int, default=200)
parser.add_argument("--envs", type=int, default=8)
parser.add_argument("--episodes", type=int, default=20)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

options = {"reward": "energy", "horizon": args.horizon, "max_displacement": 0.05}
envs = VecNormalize(
    make_vec_env(
        f"hopgym/{args.system}", n_envs=args.envs, seed=args.seed, env_kwargs=options
    )
)
agent = PPO("MlpPolicy", envs, n_steps=args.horizon, seed=args.seed, device="cpu")
agent.learn(args.steps)

envs.training = False
for name, act in (
    ("PPO", lambda seen: agent.predict(seen, deterministic=True)[0]),
    ("random", lambda seen: np.stack([envs.action_space.sample() for _ in seen])),
):
    envs.seed(args.seed + args.envs)
    best, seen = [], envs.reset()
    while len(best) < args.episodes:
        seen, _, done, infos = envs.step(act(seen))
        best += [info["best_energy"] for info in np.array(infos)[done]]
    error = np.std(best, ddof=1) / len(best) ** 0.5
    print(f"{name}: best energy {np.mean(best):.3f} +- {error:.3f}")
