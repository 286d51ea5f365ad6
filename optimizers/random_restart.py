"""Random restarts: quenches of independent random structures.

After ab initio random structure searching: Pickard and Needs, J. Phys.: Condens.
Matter 23, 053201 (2011).
"""

from __future__ import annotations

import math

from hopgym.optimizers.basin_hopping import BasinHopping, make_hop_quench
from hopgym.optimizers.moves import Redraw


def random_restart(force: float = 0.05, looseness: float = 2.0) -> BasinHopping:
    """Quenches of independent structures: hops that redraw and are always accepted.

    **Arguments:**

    - `force`: largest force on an atom at the end of a quench, in units of
      energy / length.
    - `looseness`: see [`hopgym.optimizers.Redraw`][].
    """
    return BasinHopping(
        make_hop_quench(force),
        Redraw(looseness),
        temperature=math.inf,
        adaptation_rate=0.0,
    )
