"""What a suite is: systems, budgets and starts that do not change."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from hopgym.systems import System, get_system

RULESETS = {
    "self-tuned": "one configuration for all systems, and nothing of the test systems "
    "was used to choose it",
    "tuned": "chosen in any way, as stated by the authors, but without structures of "
    "the test systems inside",
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
    - `references`: lowest known energies and tolerances when the suite was released,
      by system: lower ones that are found later do not change what is a hit.
    """

    version: str
    development: tuple[str, ...]
    test: tuple[str, ...]
    budgets: tuple[int, ...]
    starts: int
    references: Mapping[str, tuple[float, float]] = dataclasses.field(
        default_factory=dict
    )

    @property
    def systems(self) -> tuple[str, ...]:
        """All systems."""
        return self.development + self.test

    @property
    def steps(self) -> int:
        """Search evaluations of each start: the largest budget."""
        return self.budgets[-1]

    def get_system(self, name: str) -> System:
        """Get a system by name, with the reference energy of the suite.

        **Raises:** as `hopgym.get_system`.
        """
        system = get_system(name)
        if name not in self.references:
            return system
        reference, tolerance = self.references[name]
        return dataclasses.replace(system, reference=reference, tolerance=tolerance)

    def derive_seed(self, system: str) -> int:
        """Seed of the starts of a system, which the version and its name determine."""
        text = f"hopgym suite {self.version} {system}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
