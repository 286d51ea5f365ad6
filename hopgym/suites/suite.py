"""What a suite is: systems, budgets and starts that do not change."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

RULESETS = {
    "self-tuned": "one configuration for all systems, and nothing of the test systems "
    "was used to choose it",
    "tuned": "anything, as stated by the authors",
}


@dataclass(frozen=True)
class Suite:
    """A benchmark that is never changed once it is released.

    **Arguments:**

    - `version`: its name, such as `"v1"`.
    - `development`: systems to develop optimizers on.
    - `test`: systems of which the score is computed.
    - `budgets`: search evaluations per start at which hits are counted, ascending.
      Each start is one run with the last of them.
    - `starts`: starts per system.
    """

    version: str
    development: tuple[str, ...]
    test: tuple[str, ...]
    budgets: tuple[int, ...]
    starts: int

    @property
    def systems(self) -> tuple[str, ...]:
        """All systems."""
        return self.development + self.test

    @property
    def steps(self) -> int:
        """Search evaluations of each start: the largest budget."""
        return self.budgets[-1]

    def derive_seed(self, system: str) -> int:
        """Seed of the starts of a system, which the version and its name determine."""
        text = f"hopgym suite {self.version} {system}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
