"""Registration of the systems with Gymnasium, as `hopgym/LJ-75`."""

from __future__ import annotations

import gymnasium

from hopgym.rl.mdp import STEP_LIMIT
from hopgym.systems import system_names


def register_ids() -> None:
    """Register `hopgym/<name>` for every system, and `hopgym/System` for any other.

    `gymnasium.make("hopgym/System", system=...)` takes the name of a system or a
    [`hopgym.System`][]. Ids have no version suffix: the package's version applies.
    """
    entries = {f"hopgym/{name}": {"system": name} for name in system_names()}
    for id, arguments in ({"hopgym/System": {}} | entries).items():
        if id not in gymnasium.registry:
            gymnasium.register(
                id,
                entry_point="hopgym.gymnasium:ClusterEnv",
                vector_entry_point="hopgym.gymnasium:ClusterVectorEnv",
                max_episode_steps=STEP_LIMIT,
                kwargs=arguments,
            )
