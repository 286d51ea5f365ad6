"""Checks of user input: modes, reset options, positions and actions."""

from __future__ import annotations

from typing import Any

import gymnasium
import jax
import numpy as np

from hopgym._suggest import describe_unknown_name
from hopgym.environment import State
from hopgym.gymnasium._compiled import EPISODE_OVER, NOT_FINITE
from hopgym.gymnasium._render import RENDER_MODES
from hopgym.systems import System


def check_modes(render_mode, array_backend) -> None:
    """Raise `ValueError` for an unknown mode or backend."""
    for what, value, known in (
        ("render_mode", render_mode, (None, *RENDER_MODES)),
        ("array_backend", array_backend, ("numpy", "jax")),
    ):
        if value not in known:
            raise ValueError(f"{what} must be one of {known}, got {value!r}")


def require_reset(state: State | None) -> State:
    """Return the state; raise Gymnasium's `ResetNeeded` before the first reset."""
    if state is None:
        raise gymnasium.error.ResetNeeded("call reset() first")
    return state


def check_reset_options(
    options: dict[str, Any] | None, known: tuple[str, ...]
) -> dict[str, Any]:
    """Return the options of a reset; raise `ValueError` for an unknown one."""
    for name in options or {}:
        if name not in known:
            message = describe_unknown_name("reset option", str(name), list(known))
            raise ValueError(f"{message} (known: {' and '.join(map(repr, known))})")
    return options or {}


def check_positions(system: System, positions, count: int | None = None):
    """Check given starts and broadcast them to all replicas; `None` stays `None`."""
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


def flatten_actions(system: System, actions, batch_shape: tuple[int, ...]):
    """Reshape actions to `batch_shape + (3 * atoms,)`."""
    if not isinstance(actions, jax.Array):
        with np.errstate(over="ignore"):
            actions = np.asarray(actions, np.float32)
    wanted = (*batch_shape, 3 * system.atoms)
    if actions.shape == wanted:
        return actions
    if actions.shape == (*batch_shape, system.atoms, 3):
        return actions.reshape(wanted)
    raise ValueError(
        f"{system.name}: actions must have shape {wanted} or "
        f"{(*batch_shape, system.atoms, 3)}, got {actions.shape}"
    )


def raise_for_status(status, system: System) -> None:
    """Raise `ValueError` if a compiled step has rejected the actions."""
    status = int(status)
    if status == NOT_FINITE:
        raise ValueError(
            f"{system.name}: an action has non-finite components (NaN or infinity), so "
            "the step was not taken; look for the cause in the policy (a diverged "
            "update, an overflow) or pass the action through numpy.nan_to_num"
        )
    if status == EPISODE_OVER:
        raise ValueError(
            f"{system.name}: the episodes of some replicas have ended; reset these "
            "replicas with reset(options={'reset_mask': terminated | truncated}), or "
            "use another autoreset_mode"
        )
