"""What does not change of each group: inputs of learned choices."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Array, Float

from hopgym._converters import to_float
from hopgym.optimizers.symmetry.point_groups import list_point_groups
from hopgym.optimizers.symmetry.subspaces import AbstractSubspaces

TRAITS = (
    *("log_order", "is_pentagonal", "is_trigonal", "is_polyhedral", "is_improper"),
    *("has_inversion", "has_mirror"),
    *("left_over", "left_over_beside_centre", "log_orbits", "is_box", "is_alloy"),
)


def describe_groups(
    subspaces: AbstractSubspaces, atoms: int
) -> Float[Array, "groups traits"]:
    """The traits of each group, all of the order of 1.

    `left_over` is the number of atoms that no orbit of general places holds, as a
    fraction of such an orbit, and `left_over_beside_centre` that with one atom in the
    centre.
    """
    known = {group.name: group for group in list_point_groups()}
    rows = []
    for name in subspaces.names:
        group = known.get(name)
        order = math.prod(map(int, name.split("x"))) if group is None else group.order
        kinds = (
            (0.0,) * 6
            if group is None
            else (
                *(group.is_pentagonal, group.is_trigonal),
                *(group.is_polyhedral, group.is_improper),
                *(group.has_inversion, group.has_mirror),
            )
        )
        rows.append(
            (
                np.log(order) / 3,
                *kinds,
                atoms % order / order,
                (atoms - 1) % order / order,
                np.log(atoms / order) / 5,
                group is None,
                subspaces.is_alloy,
            )
        )
    return to_float(np.array(rows, float))
