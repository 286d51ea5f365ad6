"""The pace of compiled calls: how many steps take a given time."""

from __future__ import annotations

CALL_SECONDS = 0.5  # duration of a compiled call; commands can stop after each
FIRST_STEPS = 50


class Pace:
    """Chooses the number of steps of the next compiled call by the last ones' speed.

    **Attributes:**

    - `steps`: number of steps that take about `CALL_SECONDS`.
    """

    def __init__(self):
        self.steps = FIRST_STEPS

    def record(self, steps: int, seconds: float) -> None:
        """Adapt to the time that a call took; shorter calls than asked for are ignored.

        **Arguments:**

        - `steps`: its number of steps.
        - `seconds`: its time.
        """
        if steps == self.steps:
            factor = min(max(CALL_SECONDS / max(seconds, 1e-6), 0.5), 2.0)
            self.steps = max(1, round(steps * factor))
