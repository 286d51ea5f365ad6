"""Files of recorded epochs for tests."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import hopgym
from hopgym.meta import epochs
from hopgym.meta.epochs import make_epochs
from hopgym.optimizers.learned import make_untrained
from hopgym.optimizers.learned.selection import select_choice

KEY = jax.random.key(0)


def get_groups(name):
    search: Any = make_untrained("bh-symmetric", KEY)
    return list(search.for_system(hopgym.get_system(name)).subspaces.names)


def write_epochs(folder, name, *, length=10, hits=(), energy=-10.0):
    """Two epochs for each group, one of them with the minimum in some groups."""
    groups = get_groups(name)
    group = np.repeat(np.arange(len(groups), dtype=np.int32), 2)
    is_hit = np.isin(group, hits) & (np.arange(len(group)) % 2 == 0)
    rows = {
        "energy": np.full(len(group), energy, np.float32),
        "lowest": np.full(len(group), energy, np.float32),
        "inside": np.full(len(group), length, np.int32),
        "outside": np.full(len(group), length // 2, np.int32),
        "hit": np.where(is_hit, length - 3, 0).astype(np.int32),
    }
    folder.mkdir(exist_ok=True)
    header = {"system": name, "groups": groups}
    found = make_epochs(len(groups), rows, group)
    epochs.write(folder / f"{name}{epochs.SUFFIX}", found, header)
    return found


def repeat(search, rows):
    """Weights of the choice of a search, for each of some rows."""
    weights = eqx.filter(search, select_choice(search))
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (rows, *x.shape)), weights)
