"""Searches that are stopped within a chunk."""

import dataclasses

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


def test_more_steps_are_as_if_they_had_been_there_from_the_beginning(whole, tmp_path):
    folder = SearchFolder(tmp_path)
    search = Search(dataclasses.replace(PLAN, steps=45), folder, {})
    search.advance()
    assert search.finished
    search.save()
    again = Search(PLAN, folder, {})
    again.restore()
    assert not again.finished
    again.advance()
    assert again.finished
    again.save()
    assert again.curve == whole.curve
    for name, array in again.pool.arrays().items():
        np.testing.assert_array_equal(array, whole.pool.arrays()[name])


def test_more_steps_are_refused_for_optimizers_with_schedules(tmp_path):
    folder = SearchFolder(tmp_path)
    plan = dataclasses.replace(PLAN, optimizer="annealing")
    Search(plan, folder, {}).save()
    longer = Search(dataclasses.replace(plan, steps=100), folder, {})
    with pytest.raises(ValueError, match="annealing has a schedule for 90 steps"):
        longer.restore()
