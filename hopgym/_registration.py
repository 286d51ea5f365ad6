"""Registration of the systems with Gymnasium, as `hopgym/LJ-75`."""

from __future__ import annotations

import functools
from collections.abc import Callable

import gymnasium
from gymnasium.envs import registration

from hopgym._suggest import describe_unknown_name
from hopgym.rl.mdp import STEP_LIMIT
from hopgym.systems import get_system, system_names

NAMESPACE = "hopgym"


def register_ids() -> None:
    """Register `hopgym/<name>` for every system, and `hopgym/System` for any other.

    `gymnasium.make("hopgym/System", system=...)` takes the name of a system or a
    [`hopgym.System`][]. Ids have no version suffix: the package's version applies.

    Gymnasium answers an unknown id with the most similar registered one. For ids of
    this package it says instead whether and how the system can be made.
    """
    entries = {f"{NAMESPACE}/{name}": {"system": name} for name in system_names()}
    for id, arguments in ({f"{NAMESPACE}/System": {}} | entries).items():
        if id not in gymnasium.registry:
            gymnasium.register(
                id,
                entry_point="hopgym.gymnasium:ClusterEnv",
                vector_entry_point="hopgym.gymnasium:ClusterVectorEnv",
                max_episode_steps=STEP_LIMIT,
                kwargs=arguments,
            )
    # There is no public hook; a Gymnasium without this function gives its own answer.
    check = getattr(registration, "_check_name_exists", None)
    if check is not None:
        registration._check_name_exists = _explain_unknown(check)


def _explain_unknown(
    check: Callable[[str | None, str], None],
) -> Callable[[str | None, str], None]:
    """Replace what a check says of unknown ids of this package."""

    @functools.wraps(check)
    def explain(ns: str | None, name: str) -> None:
        try:
            check(ns, name)
        except gymnasium.error.NameNotFound as error:
            if ns != NAMESPACE:
                raise
            raise gymnasium.error.NameNotFound(_describe(name)) from error

    return explain


def _describe(name: str) -> str:
    """Say why there is no id of this name, and what to use instead."""
    make = f'gymnasium.make("{NAMESPACE}/System", system=...)'
    try:
        get_system(name)
    except ValueError as error:
        return f"there is no {NAMESPACE}/{name}: {error}"
    except KeyError:
        known = ["System", *system_names()]
        message = describe_unknown_name(f"name in {NAMESPACE}/", name, known)
        return f"{message} ({make} makes an environment of any system)"
    return (
        f"{NAMESPACE}/{name} has no id of its own, but there is such a system: use "
        f"{make.replace('...', repr(name))}"
    )
