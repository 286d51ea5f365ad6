"""Presets of the benchmark. Plain data: change or add entries freely."""

from __future__ import annotations

from dataclasses import dataclass

CLASSICAL = (
    "gd",
    "adam",
    "fire",
    "fire-ase",
    "lbfgs",
    "random-restart",
    "annealing",
    "bh-paper",
    "bh-lbfgs",
    "bh-two-phase",
    "bh-symmetric",
)
LEARNED = (
    *("learn2hop-lj13-esmc", "learn2hop-lj13-ga", "learn2hop-lj-set"),
    "bh-learned",
)
# Classical optimizers with learned hyper-parameters (Learn2Hop, appendix C).
REPARAMETRISED = ("adam4p-lj13", "fire6p-lj13", "bh-step-lj13")
SEARCHES = (
    "random-restart",
    "annealing",
    "bh-lbfgs",
    "bh-two-phase",
    "bh-symmetric",
)
# Lennard-Jones clusters whose minima are Marks decahedra or a Leary tetrahedron.
HARDEST = ("LJ-98", "LJ-102", "LJ-103", "LJ-104")
# LJ-38, and the larger ones whose minima are not icosahedral either.
NOT_ICOSAHEDRAL = ("LJ-38", "LJ-75", "LJ-76", "LJ-77", *HARDEST)
YARDSTICK = (
    *("LJ-13", "LJ-19", "LJ-31", "LJ-38", "LJ-55", "LJ-75", *HARDEST),
    *("Gupta-Au55", "Gupta-Ag19Au19", "Gupta-Pd19Pt19", "SW-Si64", "SW-Si216"),
)


@dataclass(frozen=True)
class Budget:
    """Number of starts, and of search evaluations per start."""

    starts: int
    steps: int


@dataclass(frozen=True)
class Preset:
    """Systems with their budgets, and optimizers.

    `budget` is that of systems on the command line that are not in `systems`.
    """

    about: str
    systems: dict[str, Budget]
    optimizers: tuple[str, ...]
    budget: Budget


PRESETS = {
    "quick": Preset(
        about="four landscapes with a reduced budget, five minutes on two cores",
        systems={
            "LJ-13": Budget(starts=50, steps=10_000),
            "LJ-38": Budget(starts=30, steps=20_000),
            "Gupta-Au55": Budget(starts=16, steps=10_000),
            "SW-Si64": Budget(starts=8, steps=4_000),
        },
        optimizers=CLASSICAL + LEARNED,
        budget=Budget(starts=20, steps=10_000),
    ),
    "yardstick": Preset(
        about="searches on easy and hard landscapes, hours to days on two cores",
        systems={name: Budget(starts=100, steps=50_000) for name in YARDSTICK},
        optimizers=SEARCHES,
        budget=Budget(starts=100, steps=50_000),
    ),
    "yardstick-long": Preset(
        about="the hardest clusters of the yardstick, with four times its steps",
        systems={
            name: Budget(starts=100, steps=200_000) for name in ("LJ-75", *HARDEST)
        },
        optimizers=SEARCHES,
        budget=Budget(starts=100, steps=200_000),
    ),
    "learning": Preset(
        about="a learned search on clusters that are not icosahedral, half an hour",
        systems={name: Budget(starts=100, steps=50_000) for name in NOT_ICOSAHEDRAL},
        optimizers=("bh-lbfgs", "bh-symmetric", "bh-learned"),
        budget=Budget(starts=100, steps=50_000),
    ),
    "paper": Preset(
        about="the systems and budget of Learn2Hop's Table 2",
        systems={
            name: Budget(starts=150, steps=50_000)
            for name in ("LJ-13", "LJ-75", "Gupta-Au55", "SW-Si64")
        },
        optimizers=CLASSICAL + REPARAMETRISED + LEARNED,
        budget=Budget(starts=150, steps=50_000),
    ),
}
