"""Report of a learning curve and of other searches: figure and numbers."""

import json
import sys
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np

from hopgym import rollout
from hopgym._cli.provenance import describe_host
from hopgym.optimizers import LBFGS, GradientDescent
from hopgym.rl import play


def run_others(params, key, evaluations):
    """Best energies of random actions, gradient descent and L-BFGS."""
    mdp, starts = params.mdp, params.starts.energy.shape[0]

    def draw(_, key):
        return jax.random.uniform(key, (3 * mdp.environment.system.atoms,), minval=-1)

    found = {"random actions": play(params, draw, key).best_energy}
    optimizers = {f"gd, rate {x}": GradientDescent(x) for x in (1e-3, 3e-3, 6e-3)}
    for name, optimizer in (optimizers | {"L-BFGS": LBFGS()}).items():
        ended = rollout(mdp.environment, optimizer, key, starts, evaluations).state
        found[name] = ended.best_energy
    return found


def summarise(energies):
    """Mean over the last axis, and its standard error."""
    error = np.std(energies, axis=-1, ddof=1) / np.shape(energies)[-1] ** 0.5
    return {"mean": np.mean(energies, axis=-1).tolist(), "error": error.tolist()}


def report(settings, steps, curve, rivals, **facts):
    """Write and print the best energies of episodes.

    **Arguments:**

    - `settings`: settings of the run, with `out`, `system` and `action`.
    - `steps`, `curve`: training steps, and best energies of the agent after these,
      `(len(steps), episodes)`.
    - `rivals`: best energies of other searches, by name.
    - `facts`: additional entries of the record.
    """
    found = {name: summarise(energies) for name, energies in rivals.items()}
    learned = {"steps": np.asarray(steps).tolist()} | summarise(curve)
    record = {"command": " ".join(["python", *sys.argv]), "settings": settings, **facts}
    record |= {"PPO": learned, "rivals": found, "host": describe_host()}
    path = Path(settings["out"], f"{settings['system']}-{settings['action']}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    axes.errorbar(learned["steps"], learned["mean"], learned["error"], label="PPO")
    for i, (name, one) in enumerate(found.items(), 1):
        low, high = (one["mean"] + sign * one["error"] for sign in (-1, 1))
        axes.axhspan(low, high, color=f"C{i}", alpha=0.5, label=name)
    axes.set_xlabel("training steps")
    axes.set_ylabel(f"best energy of an episode, {settings['system']}")
    axes.legend()
    figure.savefig(path.with_suffix(".png"), dpi=150)
    last = {name: values[-1] for name, values in learned.items()}
    print(json.dumps({"PPO": last, **found}, indent=1))
