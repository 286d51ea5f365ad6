"""Train PPO of rejax to search; the training is one compiled function.

pip install "hopgym[rl]"
python examples/rl_rejax.py --system LJ-13 --steps 8000000 --out results/rl

Plots the best energy of episodes with the agent's mean actions during training, and
that of other searches with as many evaluations, all from starts not used in training.
"""

import argparse
import time
from importlib.metadata import version

import jax
import optax
from rejax import get_algo  # pyright: ignore[reportMissingImports]
from rl_report import report, run_others

from hopgym.rl import GymnaxEnvironment, play

OPTIONS = {"system": "LJ-7", "action": "step", "observation": "flat"}
OPTIONS |= {"reward": "energy", "horizon": 200, "max_displacement": 0.05}
SIZE = {
    "steps": 4_000_000,
    "envs": 128,
    "episodes": 100,
    "seed": 0,
    "out": "results/rl",
}
parser = argparse.ArgumentParser()
for name, value in (OPTIONS | SIZE).items():
    parser.add_argument(f"--{name}", default=value, type=type(value))
args = parser.parse_args()
options = {name: getattr(args, name) for name in OPTIONS}
seen = GymnaxEnvironment(**options, starts=1024, seed=args.seed)
other = GymnaxEnvironment(**options, starts=args.episodes, seed=args.seed + 1)
unseen = other.default_params

length, epochs, minibatches = -(-args.horizon // 2), 4, 16
updates = epochs * minibatches * args.steps // (args.envs * length)
ppo = get_algo("ppo").create(
    env=seen,
    total_timesteps=args.steps,
    eval_freq=args.steps // 20,
    num_envs=args.envs,
    num_steps=length,
    num_epochs=epochs,
    num_minibatches=minibatches,
    learning_rate=optax.linear_schedule(1e-3, 0, updates),
    max_grad_norm=0.5,
    ent_coef=0.0,
    normalize_observations=True,
    normalize_rewards=True,
)


def mean_action(policy, seen):
    return policy.action_mean(policy.features(seen))


def evaluate(ppo, learner, key):
    """Training steps, and episodes with mean and with sampled actions."""

    def act(seen, _):
        batch = ppo.normalize_obs(learner.obs_rms_state, seen)[None]
        return ppo.actor.apply(learner.actor_ts.params, batch, method=mean_action)[0]

    sampled = play(unseen, ppo.make_act(learner), key)
    return learner.global_step, play(unseen, act, key), sampled


ppo = ppo.replace(eval_callback=evaluate)
timer = time.perf_counter()
_, (steps, states, sampled) = jax.jit(ppo.train)(jax.random.PRNGKey(args.seed))
evaluations = round(float(states.evaluations[-1].mean()))
seconds = round(time.perf_counter() - timer, 1)

rivals = {"PPO, sampled": sampled.best_energy[-1]}
rivals |= run_others(unseen, jax.random.key(args.seed + 2), evaluations)
facts = {"evaluations": evaluations, "seconds": seconds, "rejax": version("rejax")}
report(vars(args), steps, states.best_energy, rivals, **facts)
