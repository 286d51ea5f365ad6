"""Prior probabilities of the groups in whose subspaces a search looks for minima."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Array, ArrayLike, Float

from hopgym._checks import FINITE, check_number
from hopgym._converters import to_float
from hopgym.optimizers.symmetry.point_groups import PointGroup


@dataclasses.dataclass(frozen=True)
class Prior:
    """Logarithms of the probabilities of groups, up to a constant.

    The sum of `log_order` ln(order) and, for point groups that are, of `pentagonal`,
    `trigonal`, `polyhedral` and `improper`, and `inversion` for those that have it. For
    translations of a box it is `log_parts` ln(number of parts): mostly the smallest
    parts, since fewer atoms have fewer minima.

    The defaults were chosen by searches of LJ-19 to LJ-55, and balanced between groups
    with fivefold and with several axes on LJ-38, 75, 98 and 102.

    **Raises:** `ValueError` for anything but finite numbers.
    """

    log_order: ArrayLike = -0.709
    pentagonal: ArrayLike = 5.76
    trigonal: ArrayLike = -4.16
    polyhedral: ArrayLike = 7.2
    improper: ArrayLike = -1.92
    inversion: ArrayLike = 0.0
    log_parts: ArrayLike = 5.0

    def __post_init__(self):
        for name, value in vars(self).items():
            check_number(f"Prior: {name}", to_float(value), FINITE)

    def weigh_point_groups(self, groups: list[PointGroup]) -> Float[Array, " groups"]:
        """Logits of point groups."""
        return to_float(
            self.log_order * np.log([group.order for group in groups])
            + self.pentagonal * np.array([g.is_pentagonal for g in groups], float)
            + self.trigonal * np.array([g.is_trigonal for g in groups], float)
            + self.polyhedral * np.array([g.is_polyhedral for g in groups], float)
            + self.improper * np.array([g.is_improper for g in groups], float)
            + self.inversion * np.array([g.has_inversion for g in groups], float)
        )

    def weigh_translations(self, orders: np.ndarray) -> Float[Array, " groups"]:
        """Logits of translation groups with these numbers of parts."""
        return to_float(self.log_parts * np.log(orders))
