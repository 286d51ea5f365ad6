"""PPO of rejax learns to search; its training is one compiled function.

python examples/rl_rejax.py --system LJ-13 --steps 8000000 --out results/rl

Draws what the agent reaches in an episode as it learns, beside a random agent and
gradient descent with as many evaluations; all from starts that it has not seen.
"""

import argparse
import time

import jax
from rejax import get_algo
from rl_report import report

import hopgym
from hopgym.rl import GymnaxEnvironment, play

TASK = {"system": "LJ-7", "action": "step", "observation": "flat", "reward": "energy"}
TASK |= {"horizon": 200, "max_displacement": 0.05}
SIZE = {
    "steps": 4_000_000,
    "envs": 128,
    "episodes": 100,
    "seed": 0,
    "out": "results/rl",
}
parser = argparse.ArgumentParser()
for name, value in (TASK | SIZE).items():
    parser.add_argument("--" + name.replace("_", "-"), default=value, type=type(value))
args = parser.parse_args()
task = {name: getattr(args, name) for name in TASK}
seen = GymnaxEnvironment(**task, starts=1024, seed=args.seed)
unseen = GymnaxEnvironment(
    **task, starts=args.episodes, seed=args.seed + 1
).default_params

ppo = get_algo("ppo").create(
    env=seen,
    total_timesteps=args.steps,
    eval_freq=args.steps // 20,
    num_envs=args.envs,
    num_steps=args.horizon // 2,
    num_epochs=4,
    learning_rate=1e-3,
    max_grad_norm=0.5,
    normalize_observations=True,
    normalize_rewards=True,
)
ppo = ppo.replace(
    eval_callback=lambda ppo, learner, key: (
        learner.global_step,
        play(unseen, ppo.make_act(learner), key),
    )
)
timer = time.perf_counter()
learner, (steps, states) = jax.jit(ppo.train)(jax.random.PRNGKey(args.seed))
jax.block_until_ready(learner)
seconds = time.perf_counter() - timer

key = jax.random.key(args.seed + 2)
draw = seen.action_space().sample
rivals = {"random actions": play(unseen, lambda _, key: draw(key), key).best_energy}
evaluations = round(float(states.evaluations[-1].mean()))
for rate in (1e-3, 3e-3, 6e-3):
    descended = hopgym.rollout(
        unseen.task.environment,
        hopgym.optimizers.GradientDescent(rate),
        key,
        args.episodes,
        evaluations,
    )
    rivals[f"gradient descent, rate {rate}"] = descended.state.best_energy
report(
    vars(args),
    steps,
    states.best_energy,
    rivals,
    evaluations=evaluations,
    seconds=round(seconds, 1),
)
