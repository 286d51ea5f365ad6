"""Which structures a search lists: connected minima, and nothing else."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hopgym
from hopgym.chemistry import read_extxyz
from hopgym.minima.pool import Pool
from hopgym.structure_search import output
from hopgym.structure_search.command import main
from hopgym.structure_search.search import Search
from hopgym.structure_search.search_folder import SearchFolder

WORDS = ["Morse14-5", "--optimizer", "gd", "--starts", "20", "--steps", "100"]
WORDS += ["--keep", "40"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    jax.devices()  # a search asks for more devices where none are in use yet
    folder = tmp_path_factory.mktemp("searches") / "morse14-5"
    assert main([*WORDS, "--out", str(folder)]) == 0
    return folder


def load(folder):
    folder = SearchFolder(folder)
    search = Search(folder.read_plan(), folder, {})
    search.restore()
    return search


def test_fragments_are_counted_and_not_listed(finished, capsys):
    """The only minimum of five atoms in one piece is the trigonal bipyramid."""
    found = json.loads((finished / "minima.json").read_text())
    energies = [row["energy"] for row in found["minima"]]
    np.testing.assert_allclose(energies, [-9.000283], atol=1e-5)
    assert len(read_extxyz(finished / "minima.extxyz")) == 1
    meta = found["meta"]
    fragmented = meta["fragmented_quenches"]
    assert meta["distinct"] == 1
    assert fragmented > 0
    assert f"{fragmented:,} quenches ended in" in (finished / "report.html").read_text()
    assert main([*WORDS, "--out", str(finished)]) == 0  # resumed: nothing is left to do
    line = f"1 distinct minima, {fragmented:,} fragmented structures left out"
    assert line in capsys.readouterr().err


def test_equal_minima_are_replaced_by_the_next_ones(finished, monkeypatch):
    monkeypatch.setattr(output, "EXTRA_MINIMA", 1)
    search = load(finished)
    assert len(search.pool.minima) > 2 + 1
    refined = output.refine_minima(search, 2)
    assert len(refined.minima) == refined.distinct == 1


def make_quenched(positions, energies, converged, connected):
    flags = {"converged": converged, "connected": connected}
    return hopgym.Quenched(
        positions=jnp.asarray(positions),
        energy=jnp.asarray(energies),
        force=jnp.zeros(len(energies)),
        evaluations=jnp.ones(len(energies), jnp.int32),
        **{name: jnp.asarray(flag) for name, flag in flags.items()},
    )


def test_the_pool_takes_minima_in_one_piece_only():
    system = hopgym.get_system("LJ-2")
    pairs = [[[0.0, 0, 0], [r, 0, 0]] for r in (1.0, 1.0, 6.0, 0.0)]
    converged, connected = [True, True, True, False], [True, True, False, True]
    quenched = make_quenched(pairs, [-1.0, -1.0, -0.1, 7e12], converged, connected)
    pool = Pool(system)
    pool.add(quenched, [{k} for k in range(4)], 1)
    assert [sorted(minimum.starts) for minimum in pool.minima] == [[0, 1]]


def test_older_checkpoints_lose_their_fragments(finished, tmp_path):
    """In these, fragments were among the minima and counted as the best of starts."""
    search = load(finished)
    pieces = np.array(search.pool.minima[0].positions)
    pieces[0] += 50
    piece = make_quenched(pieces[None], [-6.0], [True], [True])
    search.pool.add(piece, [{3}], 7)
    count, expected = len(search.pool.minima), search.best
    search.folder = SearchFolder(tmp_path)
    search.best = np.full(20, -1e3)
    search.save()
    path = tmp_path / "search.eqx"
    head, _, body = path.read_bytes().partition(b"\n")
    header = json.loads(head)
    del header["fragmented"]
    path.write_bytes(json.dumps(header).encode() + b"\n" + body)
    old = load(tmp_path)
    assert len(old.pool.minima) == count - 1
    assert old.fragmented == 1
    np.testing.assert_allclose(old.best, expected, rtol=1e-5)
