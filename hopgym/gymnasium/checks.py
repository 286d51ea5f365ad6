"""Checks of what the user hands in: modes, options, positions and actions."""

from __future__ import annotations

from typing import Any

import gymnasium
import jax
import numpy as np

from hopgym._suggest import unknown_name
from hopgym.gymnasium.compiled import FINISHED, NOT_FINITE
from hopgym.gymnasium.render import RENDER_MODES
from hopgym.systems import System


def check_modes(render_mode, array_backend) -> None:
    """Raise for a choice that there is not."""
    for what, value, known in (
        ("render_mode", render_mode, (None, *RENDER_MODES)),
        ("array_backend", array_backend, ("numpy", "jax")),
    ):
        if value not in known:
            raise ValueError(f"{what} must be one of {known}, got {value!r}")


def started(state):
    """The state, if there was a reset."""
    if state is None:
        raise gymnasium.error.ResetNeeded("call reset() first")
    return state


def known_options(
    options: dict[str, Any] | None, known: tuple[str, ...]
) -> dict[str, Any]:
    """The options of a reset, all of them known."""
    for name in options or {}:
        if name not in known:
            raise ValueError(
                f"{unknown_name('reset option', str(name), list(known))} (there is "
                f"{' and '.join(map(repr, known))})"
            )
    return options or {}


def given_positions(system: System, positions, count: int | None = None):
    """Given starts of the right shape, or `None`."""
    if positions is None:
        return None
    positions = np.asarray(positions, float)
    one = (system.atoms, 3)
    wanted = one if count is None else (count, *one)
    if positions.shape not in (one, wanted):
        raise ValueError(
            f"{system.name}: options['positions'] must have shape {wanted}"
            + ("" if count is None else f" or {one}")
            + f", got {positions.shape}"
        )
    if not np.all(np.isfinite(positions)):
        raise ValueError(f"{system.name}: options['positions'] must be finite")
    return np.broadcast_to(positions, wanted)


def flat_actions(system: System, actions, lead: tuple[int, ...]):
    """Actions of the shape that is compiled for, `lead + (3 * atoms,)`."""
    if not isinstance(actions, jax.Array):
        with np.errstate(over="ignore"):
            actions = np.asarray(actions, np.float32)
    wanted = (*lead, 3 * system.atoms)
    if actions.shape == wanted:
        return actions
    if actions.shape == (*lead, system.atoms, 3):
        return actions.reshape(wanted)
    raise ValueError(
        f"{system.name}: actions must have shape {wanted} or "
        f"{(*lead, system.atoms, 3)}, got {actions.shape}"
    )


def raise_for(code, system: System) -> None:
    """Raise for what a compiled step has found of its actions."""
    code = int(code)
    if code == NOT_FINITE:
        raise ValueError(
            f"{system.name}: an action has components that are not finite (NaN or "
            "infinity), and the step was not taken; look for the cause in the policy "
            "(a diverged update, an overflow) or pass the action through "
            "numpy.nan_to_num"
        )
    if code == FINISHED:
        raise ValueError(
            f"{system.name}: the episodes of some replicas have ended; reset these "
            "first with reset(options={'reset_mask': terminated | truncated}), or use "
            "another autoreset_mode"
        )
