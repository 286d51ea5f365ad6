"""Constants of the search in symmetric subspaces."""

from __future__ import annotations

import equinox as eqx
from jaxtyping import Array, Float, Int

from hopgym._checks import (
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    check_fields,
    describe,
    is_known,
)
from hopgym._converters import to_float, to_int

FRACTIONS = ("exchanges", "compressed", "exploration", "walk_share")
NUMBERS = (
    *("temperature", "hops", "reach", "patience", "patience_power", "give_up"),
    *("rounds", "promising"),
    *("free_temperature", "free_hops", "free_reach", "free_patience"),
    *("walk_lag", "walk_temperature", "walk_adaptation"),
)


class Rules(eqx.Module):
    """Constants of the search, in units of the system's length and energy.

    **Arguments:**

    - `temperature`: of hops within the subspace.
    - `hops`: relative frequencies of dropping the weakest orbit, of dropping two, and
      of displacements by up to `reach`; each time the structure is completed again.
    - `exchanges`: fraction of these hops that exchange two orbits, in alloys.
    - `patience`, `patience_power`: an epoch ends after patience x (atoms / order /
      15)^power hops in vain.
    - `loose`: largest force on an atom at the end of these quenches.
    - `compressed`: fraction of epochs that start under compression.
    - `give_up`: an epoch whose best is as much above that of all epochs ends there.
    - `exploration`: fraction of epochs whose group does not depend on what was found;
      for others the logit of a group falls by the difference of its lowest energy and
      the lowest of all groups, divided by `spread`, and by 1 if it was not searched.
    - `rounds`: most surface searches of an epoch's best structure.
    - `promising`: a structure within this of the best is where free hops start.
    - `free_temperature`, `free_patience`: of free hops.
    - `free_hops`: relative frequencies of displacements by up to `free_reach`, of
      moving the weakest one or two atoms, of surface searches and of symmetrisations.
    - `walk_share`: fraction of the evaluations for the ordinary basin hopping, which
      goes on when it is `walk_lag` evaluations behind.
    - `walk_temperature`: in units of the mean change of the energy by a hop.
    - `walk_adaptation`: see [`hopgym.optimizers.BasinHopping`][].
    """

    temperature: Float[Array, ""] = eqx.field(converter=to_float, default=2.0)
    hops: Float[Array, "3"] = eqx.field(
        converter=to_float, default=(0.85, 0.075, 0.075)
    )
    reach: Float[Array, ""] = eqx.field(converter=to_float, default=0.17)
    exchanges: Float[Array, ""] = eqx.field(converter=to_float, default=0.3)
    patience: Float[Array, ""] = eqx.field(converter=to_float, default=5.0)
    patience_power: Float[Array, ""] = eqx.field(converter=to_float, default=1.0)
    loose: Float[Array, ""] = eqx.field(converter=to_float, default=3.0)
    compressed: Float[Array, ""] = eqx.field(converter=to_float, default=0.66)
    give_up: Float[Array, ""] = eqx.field(converter=to_float, default=10.0)
    exploration: Float[Array, ""] = eqx.field(converter=to_float, default=0.62)
    spread: Float[Array, ""] = eqx.field(converter=to_float, default=3.0)
    rounds: Int[Array, ""] = eqx.field(converter=to_int, default=8)
    promising: Float[Array, ""] = eqx.field(converter=to_float, default=0.27)
    free_temperature: Float[Array, ""] = eqx.field(converter=to_float, default=3.25)
    free_hops: Float[Array, "4"] = eqx.field(
        converter=to_float, default=(0.5, 0.23, 0.21, 0.06)
    )
    free_reach: Float[Array, ""] = eqx.field(converter=to_float, default=0.06)
    free_patience: Int[Array, ""] = eqx.field(converter=to_int, default=5)
    walk_share: Float[Array, ""] = eqx.field(converter=to_float, default=0.12)
    walk_lag: Float[Array, ""] = eqx.field(converter=to_float, default=200.0)
    walk_temperature: Float[Array, ""] = eqx.field(converter=to_float, default=0.3)
    walk_adaptation: Float[Array, ""] = eqx.field(converter=to_float, default=0.02)

    def __check_init__(self):
        for name, kinds in (("hops", 3), ("free_hops", 4)):
            shares = getattr(self, name)
            if shares.shape != (kinds,) or (is_known(shares) and not shares.any()):
                raise ValueError(
                    f"Rules: {name} needs {kinds} numbers, not all of them 0, got "
                    f"{describe(shares)}"
                )
        check_fields(
            self,
            **dict.fromkeys(FRACTIONS, FRACTION),
            **dict.fromkeys(("loose", "spread"), POSITIVE),
            **dict.fromkeys(NUMBERS, NOT_NEGATIVE),
        )
