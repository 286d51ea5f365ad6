"""Suite v1: Lennard-Jones, Morse and metal clusters, and silicon."""

from hopgym.suites.suite import Suite

# Sizes on which nothing here was developed, tuned or trained, from those that most
# searches find (58, 64) to those that hardly any does (84, 134).
UNSEEN = (58, 64, 69, 78, 84, 90, 97, 107, 115, 134)

V1 = Suite(
    version="v1",
    development=(
        *("LJ-13", "LJ-19", "LJ-31", "LJ-38", "LJ-55"),
        *("Morse6-38", "Morse10-38", "Morse14-38"),
        *("Gupta-Ag19Au19", "SW-Si8"),
    ),
    test=(
        *("LJ-75", "LJ-98", "LJ-102", "LJ-103", "LJ-104"),
        *(f"LJ-{atoms}" for atoms in UNSEEN),
        *("Gupta-Au55", "Gupta-Pd19Pt19", "Gupta-Ag19Pt19"),
        *("SW-Si64", "SW-Si216"),
    ),
    budgets=(2_000, 10_000, 50_000),
    starts=100,
)
