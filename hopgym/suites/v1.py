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
    # Of the test systems, in their units of energy.
    references={
        "LJ-75": (-397.492331, 0.001),
        "LJ-98": (-543.665361, 0.001),
        "LJ-102": (-569.363652, 0.001),
        "LJ-103": (-575.766131, 0.001),
        "LJ-104": (-582.086642, 0.001),
        "LJ-58": (-294.378148, 0.001),
        "LJ-64": (-329.620147, 0.001),
        "LJ-69": (-359.882566, 0.001),
        "LJ-78": (-414.794401, 0.001),
        "LJ-84": (-452.657214, 0.001),
        "LJ-90": (-492.433908, 0.001),
        "LJ-97": (-536.681383, 0.001),
        "LJ-107": (-602.00711, 0.001),
        "LJ-115": (-655.756307, 0.001),
        "LJ-134": (-782.206157, 0.001),
        "Gupta-Au55": (-181.89442, 0.001),
        "Gupta-Pd19Pt19": (-171.610259, 0.001),
        "Gupta-Ag19Pt19": (-154.602608, 0.001),
        "SW-Si64": (-277.536202, 0.005),
        "SW-Si216": (-936.684682, 0.005),
    },
)
