"""Searches that are stopped within a chunk."""

import numpy as np
import pytest

from hopgym.structure_search.plan import Plan
from hopgym.structure_search.potential_walks import PotentialWalks
from hopgym.structure_search.search import Search
from hopgym.structure_search.search_folder import SearchFolder

PLAN = Plan("LJ-4", "random-restart", 2, 90, 0, 45)


def finish(search):
    search.advance()
    search.advance()
    assert search.finished
    return search


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A search that was never stopped."""
    return finish(Search(PLAN, SearchFolder(tmp_path_factory.mktemp("none")), {}))


@pytest.mark.parametrize(("calls", "done"), [(0, 0), (2, 40), (3, 45)])
def test_a_chunk_goes_on_where_it_was_stopped(
    calls, done, whole, tmp_path, monkeypatch
):
    """Stops within a chunk, or before its quench, change nothing that is found."""
    folder = SearchFolder(tmp_path)
    search = Search(PLAN, folder, {})
    assert isinstance(search.walks, PotentialWalks)
    monkeypatch.setattr(search.walks._pace, "steps", 20)
    monkeypatch.setattr(search.walks._pace, "record", lambda *_: None)
    answers = iter([*[False] * calls, True])
    search.advance(lambda: next(answers))
    assert (search.done, search.collected) == (done, 0)
    search.save()
    again = Search(PLAN, folder, {})
    again.restore()
    finish(again)
    assert again.curve == whole.curve
    assert again.evaluations == whole.evaluations
    for name, array in again.pool.arrays().items():
        np.testing.assert_array_equal(array, whole.pool.arrays()[name])
