"""Moves of clusters by the kernel against the formulas in JAX."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest
from cluster_cases import KINDS, LANES, make_propose, make_requests, spoil
from kernel_cases import by_both, needs_kernels

from hopgym.optimizers.symmetry import (
    cluster_move,
    completion,
    orbits,
    pool,
    scores,
    surface_search,
    symmetrisation,
    vacant_sites,
)
from hopgym.optimizers.symmetry.cluster_move import MoveKind

NATIVE = Path(__file__).parents[1] / "native"
SHARED = {
    "cluster_points.inl": (scores,),
    "vacant_sites.inl": (vacant_sites,),
    "completion.inl": (orbits, pool, completion),
    "surface_search.inl": (surface_search,),
    "symmetrisation.inl": (symmetrisation,),
    "cluster_moves.inl": (cluster_move,),
}
# Each of them takes seconds to compile. Batches end within a vector of any size.
CASES = [
    pytest.param(5, False, marks=pytest.mark.sanitize),
    pytest.param(5, True, marks=pytest.mark.sanitize),
    *((2, True), (38, True)),
]


@pytest.fixture
def precision(is_double):
    with jax.enable_x64(is_double):
        yield


@needs_kernels
@pytest.mark.usefixtures("precision")
@pytest.mark.parametrize("atoms, is_double", CASES)
def test_all_moves(backend, atoms, is_double):
    # Two moves of each kind of many atoms, which take long as they are compiled here.
    some = slice(None, None, 1 if atoms < 38 else LANES // 2)
    requests = {name: x[some] for name, x in make_requests(atoms).items()}
    propose, kinds = make_propose(), KINDS[some]
    mine, expected = by_both(backend, lambda: propose(requests))
    assert np.isfinite(expected).all()
    before = requests["positions"]
    changed = [(expected != before)[k == kinds].any() for k in MoveKind]
    assert changed == [
        k != MoveKind.NONE and (atoms > 3 or changed[k]) for k in MoveKind
    ]
    for found in mine.values():
        apart = np.abs(found - expected).max(axis=(1, 2))
        differ = apart > (1e-10 if is_double else 3e-5)
        assert differ.sum() <= (0 if is_double else 0.03 * len(kinds)), kinds[differ]
        # Atoms that stay are not rounded.
        kept = (kinds == MoveKind.NONE) | (kinds == MoveKind.MOVE_WEAKEST)
        stays = (expected == before).all(axis=2) & (kept & ~differ)[:, None]
        np.testing.assert_array_equal(found[stays], before[stays])


@needs_kernels
@pytest.mark.usefixtures("precision")
@pytest.mark.parametrize("atoms, is_double", CASES[:-1])
def test_bad_numbers(backend, atoms, is_double):
    propose, requests = make_propose(), spoil(make_requests(atoms))
    mine, expected = by_both(backend, lambda: propose(requests))
    before = requests["positions"]
    for found in [*mine.values(), expected]:
        unchanged = ((found == before) | np.isnan(before) & np.isnan(found)).all((1, 2))
        assert (unchanged | np.isfinite(found).all((1, 2))).all()
    if is_double:
        for found in mine.values():
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name, modules", SHARED.items())
def test_constants(name, modules):
    """Those of the kernel are those of the formulas."""
    text = (NATIVE / name).read_text()
    found = re.findall(r"^constexpr \w+ k(\w+) = ([-.\de]+);", text, re.MULTILINE)
    assert found
    known = {name: value for module in modules for name, value in vars(module).items()}
    for name, value in found:
        upper = re.sub(r"(?<!^)([A-Z])", r"_\1", name).upper()
        if upper != "PI":
            assert known[upper] == float(value), name
