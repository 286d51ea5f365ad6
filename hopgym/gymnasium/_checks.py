"""Checks of user input: modes, seeds, reset options and positions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.vector import AutoresetMode

from hopgym._checks import check_integer
from hopgym._suggest import describe_unknown_name
from hopgym.environment import State
from hopgym.gymnasium._compiled import EPISODE_OVER, NOT_FINITE
from hopgym.gymnasium._render import RENDER_MODES
from hopgym.rl._checks import flatten_actions, to_reals
from hopgym.systems import System


def check_modes(
    render_mode: Any,
    array_backend: Any,
    autoreset_mode: Any = AutoresetMode.NEXT_STEP,
) -> None:
    """Raise `ValueError` for an unknown mode or backend."""
    autoreset_modes = tuple(mode.value for mode in AutoresetMode)
    if isinstance(autoreset_mode, AutoresetMode):
        autoreset_mode = autoreset_mode.value
    for what, value, known in (
        ("render_mode", render_mode, (None, *RENDER_MODES)),
        ("array_backend", array_backend, ("numpy", "jax")),
        ("autoreset_mode", autoreset_mode, autoreset_modes),
    ):
        if value not in known:
            raise ValueError(f"{what} must be one of {known}, got {value!r}")


def require_reset(state: State | None) -> State:
    """Return the state; raise Gymnasium's `ResetNeeded` before the first reset."""
    if state is None:
        raise gymnasium.error.ResetNeeded("call reset() first")
    return state


def check_seed(seed: Any) -> int | None:
    """Return a seed as an integer; raise `ValueError` for what is none."""
    return None if seed is None else check_integer("seed", seed, 0, None)


def check_reset_options(
    options: dict[str, Any] | None, known: tuple[str, ...]
) -> dict[str, Any]:
    """Return the options of a reset; raise `ValueError` for an unknown one."""
    if options is not None and not isinstance(options, Mapping):
        raise ValueError(f"options must be a dictionary or None, got {options!r}")
    for name in options or {}:
        if name not in known:
            message = describe_unknown_name("reset option", str(name), list(known))
            raise ValueError(f"{message} (known: {' and '.join(map(repr, known))})")
    return options or {}


def check_positions(system: System, positions, count: int | None = None):
    """Check given starts and broadcast them to all replicas; `None` stays `None`."""
    if positions is None:
        return None
    name = f"{system.name}: options['positions']"
    with np.errstate(over="ignore"):
        positions = np.asarray(to_reals(name, positions), jnp.result_type(float))
    one = (system.atoms, 3)
    wanted = one if count is None else (count, *one)
    if positions.shape not in (one, wanted):
        raise ValueError(
            f"{name} must have shape {wanted}"
            + ("" if count is None else f" or {one}")
            + f", got {positions.shape}"
        )
    if not np.all(np.isfinite(positions)):
        raise ValueError(f"{name} must be finite")
    return np.broadcast_to(positions, wanted)


def convert_actions(system: System, actions: Any, batch_shape: tuple[int, ...]):
    """Flatten actions and, unless they are JAX arrays, make them float32."""
    actions = flatten_actions(system, actions, batch_shape)
    if isinstance(actions, jax.Array):
        return actions
    with np.errstate(over="ignore"):
        return actions.astype(np.float32, copy=False)


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
