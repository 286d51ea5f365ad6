"""Rendering of one replica as a picture or a line of text."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from hopgym.environment import State
from hopgym.systems import System

RENDER_MODES = ["rgb_array", "ansi"]


def render(mode: str | None, system: System, state: State) -> Any:
    """Render a picture (`"rgb_array"`) or text (`"ansi"`); warn if there is no mode."""
    if mode is None:
        gymnasium.logger.warn(
            "render() does nothing without a render_mode; make the environment with "
            "render_mode='rgb_array' or 'ansi'"
        )
        return None
    energy, best = _format(state.energy), _format(state.best_energy)
    if mode == "ansi":
        reference = _format(system.reference) if system.has_reference else "unknown"
        return (
            f"{system.name}  step {int(state.step)}  energy {energy}  best {best}  "
            f"reference {reference}"
        )
    from hopgym.rendering import draw

    return draw(
        np.asarray(state.positions),
        system.symbols,
        None if system.box is None else np.asarray(system.box),
        length=float(system.length),
        caption=f"{system.name}   E = {energy}   best {best}   step {int(state.step)}",
    )


def _format(energy) -> str:
    energy = float(energy)
    return f"{energy:.3f}" if abs(energy) < 1e6 else f"{energy:.2e}"
