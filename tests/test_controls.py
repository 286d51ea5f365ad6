"""The controls of the learned search."""

import jax
import numpy as np
import pytest

import hopgym
from benchmarks import controls
from hopgym.optimizers import make_optimizer
from hopgym.optimizers.symmetry.choices.halving import SuccessiveHalving
from hopgym.optimizers.symmetry.choices.merit import ByMerit
from hopgym.optimizers.symmetry.choices.single import Single
from hopgym.optimizers.symmetry.choices.uniform import Uniform

SYSTEM = hopgym.get_system("LJ-38")


def test_only_the_choice_differs():
    learned = make_optimizer("bh-learned", system=SYSTEM, steps=1)
    kinds = {
        controls.by_merit: ByMerit,
        controls.uniform: Uniform,
        controls.halving: SuccessiveHalving,
        controls.oracle: Single,
    }
    for make, kind in kinds.items():
        search = make(SYSTEM)
        assert isinstance(search.choice, kind)
        for part in ("rules", "local", "move", "subspaces", "quench_end"):
            old, new = getattr(learned, part), getattr(search, part)
            jax.tree.map(np.testing.assert_array_equal, old, new)


def test_the_oracle_knows_the_best_groups():
    for name, group in controls.BEST_GROUPS.items():
        search = controls.oracle(hopgym.get_system(name))
        assert isinstance(search.choice, Single)
        assert search.subspaces.names[search.choice.group] == group
    with pytest.raises(ValueError, match="LJ-13: the best group is known for LJ-38"):
        controls.oracle(hopgym.get_system("LJ-13"))


def test_where_there_are_no_groups():
    with pytest.raises(ValueError, match="SW-Si8: bh-learned chooses no groups"):
        controls.uniform(hopgym.get_system("SW-Si8"))
