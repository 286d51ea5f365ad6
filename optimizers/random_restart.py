"""Random restarts: quench, forget, draw again.

After ab initio random structure searching: Pickard and Needs, J. Phys.: Condens.
Matter 23, 053201 (2011).
"""

from __future__ import annotations

import math

from hopgym.optimizers.basin_hopping import BasinHopping, between_hops
from hopgym.optimizers.moves import Redraw


def random_restart(force: float = 0.05, looseness: float = 2.0) -> BasinHopping:
    """Independent quenches: hops that forget and are always accepted.

    **Arguments:**

    - `force`: largest force at which a quench ends, units of energy / length.
    - `looseness`: of [`hopgym.optimizers.Redraw`][].
    """
    return BasinHopping(
        between_hops(force), Redraw(looseness), temperature=math.inf, adapt=0.0
    )
